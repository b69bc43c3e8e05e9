//! A student that is taught while the reader watches, and its way onto the dial.

use leptos::prelude::*;

use super::notice_box::NoticeBox;
use super::teach_chart::TeachChart;
use super::teach_settings::TeachSettings;
use crate::browser::view::Place;
use crate::state::dial::Dial;
use crate::state::distillation::record::{Record, Term};
use crate::state::distillation::{Stage, Teaching};
use crate::state::session::Session;
use crate::text::format;

#[component]
pub fn Teach(session: Session, dial: Dial, teaching: Teaching) -> impl IntoView {
    let stage = teaching.stage;
    let state = move || stage.with(Stage::name);
    let failure = move || match stage.get() {
        Stage::Failed(notice) => Some(view! { <NoticeBox notice/> }),
        _ => None,
    };
    view! {
        <div class="panel-head">
            <h1 id="teach-heading">"Teach a student here"</h1>
            <p class="quiet">
                "The teacher is cut down to the layers that you keep, and learns to be whole again: \
                 the distillation of the command line, on this machine's CPU."
            </p>
        </div>
        <p class="prose">
            <b>"Cross-entropy"</b>
            " asks the student to expect the next word of the text. "
            <b>"KL"</b>
            " asks it to give every possible next word the probability that the teacher gives it. "
            <b>"Alignment"</b>
            " asks each of its layers to end in the state that the teacher has at the same depth; \
             that is what lets the teacher's layers take their places later."
        </p>
        <TeachSettings dial teaching/>
        <div id="teaching" data-state=state class="teaching">
            <Buttons teaching/>
            {failure}
            <Numbers teaching/>
            <TeachChart teaching/>
            <OnTheDial session teaching/>
        </div>
    }
}

/// Start, pause, stop, and what is going on in words.
#[component]
fn Buttons(teaching: Teaching) -> impl IntoView {
    let stage = teaching.stage;
    let is_busy = Memo::new(move |_| stage.with(Stage::is_busy));
    let can_start = Memo::new(move |_| !is_busy.get() && teaching.wishes.has_term());
    let is_paused = Memo::new(move |_| stage.with(|stage| *stage == Stage::Paused));
    let can_pause = move || stage.with(|stage| matches!(stage, Stage::Teaching | Stage::Paused));
    let pause = move |_| if is_paused.get() { teaching.resume() } else { teaching.pause() };
    let words = Memo::new(move |_| words(teaching));
    let arrived = move || match stage.get() {
        Stage::Loading { bytes, total } => {
            Some(format!("{} of {}", format::bytes(bytes), format::bytes(total)))
        }
        _ => None,
    };
    view! {
        <div class="button-row">
            <button
                type="button"
                class="primary"
                id="teach-start"
                disabled=move || !can_start.get()
                on:click=move |_| teaching.start()
            >
                "Teach"
            </button>
            <button type="button" id="teach-pause" disabled=move || !can_pause() on:click=pause>
                {move || if is_paused.get() { "Go on" } else { "Pause" }}
            </button>
            <button
                type="button"
                id="teach-stop"
                disabled=move || !can_pause()
                on:click=move |_| teaching.stop()
            >
                "Stop"
            </button>
            <p role="status" id="teach-state">{move || words.get()}</p>
            <span class="quiet">{arrived}</span>
        </div>
    }
}

/// What is read aloud: seldom while steps are taken.
fn words(teaching: Teaching) -> String {
    if !teaching.wishes.has_term() {
        return "With all weights at 0 there is nothing to learn from.".to_owned();
    }
    let shown = teaching.shown;
    match teaching.stage.get() {
        Stage::Idle | Stage::Failed(_) => String::new(),
        Stage::Starting => "The program comes …".to_owned(),
        Stage::Loading { .. } => "The teacher comes …".to_owned(),
        Stage::Teaching => shown.with(|record| match record.as_deref() {
            Some(record) => {
                let (n_done, n_steps) = (record.steps.len(), record.settings.n_steps);
                // By tenths, so that nobody is told of every step.
                format!("{} % taught", n_done * 10 / n_steps.max(1) * 10)
            }
            None => "The first steps …".to_owned(),
        }),
        Stage::Paused => shown.with(|record| {
            let n_done = record.as_ref().map_or(0, |record| record.steps.len());
            format!("Paused after {}.", format::count(n_done, "step"))
        }),
        Stage::Ended => shown.with(|record| {
            let Some(record) = record else { return "Stopped before the first step.".to_owned() };
            let is_whole = record.steps.len() >= record.settings.n_steps;
            let end = if is_whole { "Done." } else { "Stopped." };
            format!("{end} {}", record.finding().unwrap_or_default())
        }),
    }
}

/// The last step in numbers.
#[component]
fn Numbers(teaching: Teaching) -> impl IntoView {
    let numbers = move || {
        teaching.shown.with(|record| {
            let record = record.as_deref()?;
            Some(numbers(record))
        })
    };
    view! { {numbers} }
}

fn numbers(record: &Record) -> Option<impl IntoView + use<>> {
    let step = record.steps.last()?;
    let terms = Term::ALL.map(|term| {
        let value = term.of(&step.terms).map_or_else(|| "off".to_owned(), |it| format!("{it:.3}"));
        view! {
            <div>
                <dt>{term.name()}</dt>
                <dd>{value}</dd>
            </div>
        }
    });
    let steps_per_second = step.tokens_per_second / step.n_tokens.max(1) as f64;
    Some(view! {
        <dl class="numbers" id="teach-numbers" data-step=step.step.to_string()>
            <div>
                <dt>"Step"</dt>
                <dd>{step.step} <small>" of " {record.settings.n_steps}</small></dd>
            </div>
            <div>
                <dt>"Loss"</dt>
                <dd>{format!("{:.3}", step.terms.total)}</dd>
            </div>
            {terms.into_iter().collect_view()}
            <div>
                <dt>"Learning rate"</dt>
                <dd>{format!("{:.1e}", step.learning_rate)}</dd>
            </div>
            <div>
                <dt>"Steps a second"</dt>
                <dd>{format::speed(steps_per_second)}</dd>
            </div>
        </dl>
    })
}

/// The way of a student that takes no step into the family on the dial.
#[component]
fn OnTheDial(session: Session, teaching: Teaching) -> impl IntoView {
    let stage = teaching.stage;
    let has_student = Memo::new(move |_| stage.with(Stage::has_student));
    let told = move || {
        teaching.on_dial.get().map(|n_steps| {
            view! {
                "The student of " {format::count(n_steps, "step")} " is on the dial, and its teacher's \
                 layers can take their places: "
                <a href=Place::Explore.path()>"try the sizes"</a> "."
            }
        })
    };
    let back = move |_| {
        // A manifest that was used before is one now.
        let _ = session.give_back();
        teaching.on_dial.set(None);
    };
    view! {
        <div class="button-row">
            <button
                type="button"
                id="teach-take"
                disabled=move || !has_student.get() || teaching.is_moving.get()
                on:click=move |_| teaching.put_on_dial()
            >
                "Put it on the dial"
            </button>
            <Show when=move || session.has_adopted()>
                <button type="button" id="teach-back" on:click=back>
                    "Take the page's own student back"
                </button>
            </Show>
            <p role="status" id="teach-told">{told}</p>
        </div>
        <p class="quiet">
            "Nothing is measured of a student taught here, so its sizes have no curve yet. More steps \
             make a better student, but not a better family: one that was taught for hundreds of steps \
             has learnt to do without its teacher's layers, and the sizes in between get worse."
        </p>
    }
}
