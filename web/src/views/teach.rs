//! A student taught in the page.

use leptos::prelude::*;

use crate::app::with_bench;
use crate::bench::Bench;
use crate::components::teach::Teach;
use crate::teaching::Teaching;

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
