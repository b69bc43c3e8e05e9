//! An introduction for new visitors.

use leptos::prelude::*;

#[component]
pub fn Intro() -> impl IntoView {
    view! {
        <header class="intro">
            <p class="eyebrow">"Boomerang distillation"</p>
            <h1>"One training run, every model size in between"</h1>
            <div class="lede">
                <p>
                    "A large model, the " <strong>"teacher"</strong>
                    ", is pruned to a " <strong>"student"</strong>
                    " with fewer layers. The student is trained once, to imitate the teacher."
                </p>
                <p>
                    "After that, any student layer can be replaced by the teacher layers it \
                    corresponds to, without further training. Each combination is a model of \
                    another size: the curve shows how good each one is. Turn the dial to choose \
                    one, and read what it generates. "
                    <a href="https://arxiv.org/abs/2510.05064">"The paper"</a>
                </p>
            </div>
        </header>
    }
}
