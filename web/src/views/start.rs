//! The start page, before any weights are loaded: what this is, what the curve shows, what to do next.

use leptos::prelude::*;

use crate::browser::embedding::is_embedded;
use crate::components::curve_chart::CurveChart;
use crate::components::engine_status::EngineStatus;
use crate::components::intro::Intro;
use crate::components::layer_strip::LayerStrip;
use crate::components::next_steps::NextSteps;
use crate::components::prompt_box::Examples;
use crate::components::published::Published;
use crate::components::recorded_text::RecordedText;
use crate::components::size_dial::SizeDial;
use crate::components::story::Story;
use crate::state::bench::Bench;
use crate::state::session::{Session, Stage};
use crate::text::format;
use crate::views::with_bench;

#[component]
pub fn Start() -> impl IntoView {
    let session: Session = expect_context();
    // Failures are shown here too; mere information is not.
    let has_failed = Memo::new(move |_| {
        session
            .stage
            .with(|stage| matches!(stage, Stage::Failed(_) | Stage::AskingForServer { .. }))
    });
    view! {
        {(!is_embedded()).then(|| view! { <Intro/> })}
        <Show when=move || has_failed.get()>
            <EngineStatus session/>
        </Show>
        {with_bench(|bench| view! { <Idea bench/> })}
    }
}

#[component]
fn Idea(bench: Bench) -> impl IntoView {
    let Bench { session, dial, draft, .. } = bench;
    let prompts = dial.family.with_value(|family| family.manifest().prompts.clone());
    let rest = dial.position();
    let is_untouched = window().location().search().unwrap_or_default().is_empty();
    view! {
        <div class="bench is-start">
            <section class="panel curve-panel" aria-labelledby="curve-heading">
                <CurveChart dial explains=true/>
            </section>
            <section class="panel size-panel" aria-labelledby="size-heading">
                <SizeDial session dial/>
                <LayerStrip dial/>
                <div class="story-row">
                    <Story dial rest autoplays=is_untouched/>
                </div>
            </section>
            <section class="panel write-panel" aria-labelledby="recorded-heading">
                <div class="panel-head">
                    <h2 id="recorded-heading">"Recorded output of this size"</h2>
                </div>
                <Examples prompts prompt=draft.prompt/>
                <RecordedText bench/>
                <TryIt bench/>
            </section>
        </div>
        {(!is_embedded()).then(|| view! { <NextSteps/> })}
        <Published dial/>
    }
}

/// The link to the user's own prompts, with the size of the download.
#[component]
fn TryIt(bench: Bench) -> impl IntoView {
    let Bench { session, dial, .. } = bench;
    let (all, first) =
        dial.family.with_value(|family| (family.manifest().n_bytes(), family.n_first_bytes()));
    let is_offered = Memo::new(move |_| session.stage.with(|stage| *stage == Stage::Offered));
    let stored = dial.family.with_value(|family| family.manifest().stored);
    let stored = stored.map(|stored| format!(" The weights are {stored}."));
    let load = move |_| {
        if session.stage.with_untracked(|stage| *stage == Stage::Offered) {
            session.load();
        }
    };
    let cost = move || {
        if is_offered.get() { format!(" ({})", format::bytes(all)) } else { String::new() }
    };
    view! {
        <p class="try-it">
            <a class="button primary" id="try-it" href="explore/" on:click=load>
                "Try your own prompt" {cost}
            </a>
            <span class="quiet">
                "It runs in this browser; no text is uploaded. The smallest size is ready after "
                {format::bytes(first)} "." {stored}
            </span>
        </p>
    }
}
