//! The page in reading order.

use std::sync::Arc;

use leptos::prelude::*;

use crate::address::{Address, opened_link};
use crate::backend::Backend;
use crate::components::compare::Compare;
use crate::components::curve_chart::CurveChart;
use crate::components::engine_status::EngineStatus;
use crate::components::intro::Intro;
use crate::components::layer_strip::LayerStrip;
use crate::components::output::Output;
use crate::components::prompt_box::PromptBox;
use crate::components::share::LinkNotes;
use crate::components::size_dial::SizeDial;
use crate::components::sweep::Sweep;
use crate::dial::Dial;
use crate::draft::Draft;
use crate::family::FamilyCard;
use crate::session::{Session, Stage};

#[component]
pub fn App() -> impl IntoView {
    let session = Session::open();
    let state = move || session.stage.with(Stage::name);
    let backend = move || session.choice.with(|choice| choice.as_ref().map(|it| it.backend.name()));
    let stop_on_escape = window_event_listener(leptos::ev::keydown, move |event| {
        if event.key() == "Escape" {
            session.stop();
        }
    });
    on_cleanup(move || stop_on_escape.remove());

    view! {
        <a class="skip-link" href="#bench">"Skip to the bench"</a>
        <Intro/>
        <main id="bench" tabindex="-1" data-state=state data-backend=backend>
            <EngineStatus session/>
            {move || session.family.get().map(|family| view! { <Bench session family/> })}
        </main>
        <Foot session/>
    }
}

/// Everything that needs a family.
#[component]
fn Bench(session: Session, family: Arc<FamilyCard>) -> impl IntoView {
    let link = opened_link();
    let complaints = link.complaints(&family);
    let replays = link.is_of(&family);
    let draft = Draft::new(&family, &link);
    let dial = Dial::new(family, &link);
    if replays {
        write_when_ready(session, draft, dial);
    }
    let compared = RwSignal::new(dial.family.with_value(|family| link.compared(family)));
    let address = Address::new(link, session, dial, draft, compared);
    address.keep();
    view! {
        <LinkNotes complaints/>
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
                <Output session/>
            </section>
        </div>
        <section class="panel" aria-labelledby="compare-heading">
            <Compare session dial draft compared/>
        </section>
        <section class="panel" aria-labelledby="sweep-heading">
            <Sweep session dial draft/>
        </section>
    }
}

/// Writes the text of a link once the model is here.
fn write_when_ready(session: Session, draft: Draft, dial: Dial) {
    Effect::new(move |is_written: Option<bool>| {
        let is_ready = session.stage.with(|stage| *stage == Stage::Ready);
        let is_written = is_written.unwrap_or(false);
        if is_ready && !is_written && draft.prompt.with_untracked(|prompt| !prompt.is_empty()) {
            session.generate(draft.task(dial));
        }
        is_written || is_ready
    });
}

#[component]
fn Foot(session: Session) -> impl IntoView {
    let name = move || {
        session.family.with(|family| {
            family.as_ref().map(|family| format!("Model: {}. ", family.manifest().name))
        })
    };
    let where_it_runs = move || {
        session.choice.with(|choice| match choice.as_ref().map(|choice| choice.backend) {
            Some(Backend::WebGpu) => "It runs on this machine's GPU; no text leaves it.",
            Some(Backend::Cpu) => "It runs on this machine's CPU; no text leaves it.",
            None => "It runs on this machine; no text leaves it.",
        })
    };
    view! {
        <footer class="foot">
            <p>{name} {where_it_runs}</p>
        </footer>
    }
}
