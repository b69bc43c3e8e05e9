//! What this is, for someone who has never heard of it.

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
                    ", is cut down to a " <strong>"student"</strong>
                    " with fewer layers. The student is trained once, to imitate the teacher."
                </p>
                <p>
                    "From then on, any student layer can give way to the teacher layers it stands \
                    for, with no further training. Each exchange makes a model of another size. \
                    Turn the dial, watch where it lands on the curve, and read what that size \
                    writes. "
                    <a href="https://arxiv.org/abs/2510.05064">"The paper"</a>
                </p>
            </div>
        </header>
    }
}
