//! What a visitor can do next, as links.

use leptos::prelude::*;

use crate::browser::view::View;

/// Where to, what it is called, and what happens there.
const STEPS: [(View, &str, &str); 4] = [
    (
        View::Explore,
        "Generate with any size",
        "Choose a size or a set of blocks, and type a prompt.",
    ),
    (
        View::Compare,
        "Compare sizes",
        "One prompt at two to four sizes: where do their texts diverge?",
    ),
    (
        View::Distill,
        "Train a student",
        "Prune the teacher and distill a student, here in the browser.",
    ),
    (View::Learn, "Take a lesson", "The method step by step, with questions to answer."),
];

#[component]
pub fn NextSteps() -> impl IntoView {
    let step = |(view, name, what): (View, &'static str, &'static str)| {
        view! {
            <li>
                <a href=view.path()>{name}</a>
                <p class="quiet">{what}</p>
            </li>
        }
    };
    view! {
        <section class="panel" aria-labelledby="next-heading">
            <h2 id="next-heading">"What you can do here"</h2>
            <ul class="next-steps">{STEPS.map(step).collect_view()}</ul>
        </section>
    }
}
