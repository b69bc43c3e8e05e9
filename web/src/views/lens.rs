//! Inside one size: the predictions of its layers, and how well it predicts a paragraph.

use leptos::prelude::*;

use crate::components::engine_status::EngineStatus;
use crate::components::layer_strip::LayerStrip;
use crate::components::lens::Lens;
use crate::components::size_dial::SizeDial;
use crate::state::bench::Bench;
use crate::state::session::Session;
use crate::views::with_bench;

#[component]
pub fn LensView() -> impl IntoView {
    let session: Session = expect_context();
    let panels = |bench: Bench| {
        let Bench { session, dial, draft, lens, .. } = bench;
        session.open_task();
        let paragraph = Signal::derive(move || {
            session.task.with(|task| task.as_ref().map(|task| task.paragraph.clone()))
        });
        view! {
            <section class="panel" aria-labelledby="size-heading">
                <SizeDial session dial/>
                <LayerStrip dial/>
            </section>
            <Lens session dial draft state=lens paragraph/>
        }
    };
    view! {
        <h1 class="visually-hidden">"Inside one size"</h1>
        <EngineStatus session/>
        {with_bench(panels)}
    }
}
