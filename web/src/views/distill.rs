//! A student taught in the page.

use leptos::prelude::*;

use crate::components::teach::Teach;
use crate::state::bench::Bench;
use crate::state::distillation::Teaching;
use crate::views::with_bench;

#[component]
pub fn TeachView() -> impl IntoView {
    let teaching: Teaching = expect_context();
    let panel = move |bench: Bench| {
        let Bench { session, dial, .. } = bench;
        view! {
            <section class="panel teach" aria-labelledby="teach-heading">
                <Teach session dial teaching/>
            </section>
        }
    };
    with_bench(panel)
}
