//! A student distilled in the page.

use leptos::prelude::*;

use crate::components::distill::Distill;
use crate::state::bench::Bench;
use crate::state::distillation::Distillation;
use crate::views::with_bench;

#[component]
pub fn DistillView() -> impl IntoView {
    let distillation: Distillation = expect_context();
    let panel = move |bench: Bench| {
        let Bench { session, dial, .. } = bench;
        view! {
            <section class="panel teach" aria-labelledby="teach-heading">
                <Distill session dial distillation/>
            </section>
        }
    };
    with_bench(panel)
}
