//! The bench: dial, strip, curve, and one's own text.

use leptos::prelude::*;

use crate::app::with_bench;
use crate::bench::Bench;
use crate::components::curve_chart::CurveChart;
use crate::components::engine_status::EngineStatus;
use crate::components::layer_strip::LayerStrip;
use crate::components::output::Output;
use crate::components::prompt_box::PromptBox;
use crate::components::recorded_text::RecordedText;
use crate::components::share::{KeepRun, LinkNotes};
use crate::components::size_dial::SizeDial;
use crate::session::Session;

#[component]
pub fn Explore() -> impl IntoView {
    let session: Session = expect_context();
    view! {
        <h1 class="visually-hidden">"Explore the sizes"</h1>
        <EngineStatus session/>
        {with_bench(|bench| view! { <Panels bench/> })}
    }
}

#[component]
fn Panels(bench: Bench) -> impl IntoView {
    let Bench { session, dial, draft, address, complaints, .. } = bench;
    let has_run = Memo::new(move |_| session.run.with(Option::is_some));
    view! {
        <LinkNotes complaints=complaints.get_value()/>
        <div class="bench">
            <section class="panel size-panel" aria-labelledby="size-heading">
                <SizeDial session dial/>
                <LayerStrip dial/>
            </section>
            <section class="panel curve-panel" aria-labelledby="curve-heading">
                <CurveChart dial/>
            </section>
            <section class="panel write-panel" aria-labelledby="prompt-heading">
                <PromptBox session dial draft address/>
                <Show when=move || !has_run.get()>
                    <RecordedText bench/>
                </Show>
                <Output session>
                    <KeepRun session dial address/>
                </Output>
            </section>
        </div>
    }
}
