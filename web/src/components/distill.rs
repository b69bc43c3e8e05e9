//! Distilling a student in the page, and putting it on the dial.

use boomerang_core::distill::loss::LossTerm;
use leptos::prelude::*;

use super::distill_chart::DistillChart;
use super::distill_settings::DistillSettingsForm;
use super::notice_box::NoticeBox;
use crate::browser::view::View;
use crate::state::dial::Dial;
use crate::state::distillation::record::Record;
use crate::state::distillation::{DistillStage, Distillation};
use crate::state::session::Session;
use crate::text::format;

#[component]
pub fn Distill(session: Session, dial: Dial, distillation: Distillation) -> impl IntoView {
    let stage = distillation.stage;
    let state = move || stage.with(DistillStage::name);
    let failure = move || match stage.get() {
        DistillStage::Failed(notice) => Some(view! { <NoticeBox notice/> }),
        _ => None,
    };
    view! {
        <div class="panel-head">
            <h1 id="teach-heading">"Distill a student here"</h1>
            <p class="quiet">
                "The teacher is pruned to the layers that you keep, and the student is distilled by \
                 the same code as on the command line, on this machine's CPU."
            </p>
        </div>
        <p class="prose">
            <b>"Cross-entropy"</b>
            ": predict the next token of the text. "
            <b>"KL"</b>
            ": match the teacher's probabilities of all next tokens. "
            <b>"Alignment"</b>
            ": match the teacher's hidden state at the same depth after each layer, so that the \
             teacher's layers can replace the student's later."
        </p>
        <DistillSettingsForm dial distillation/>
        <div id="teaching" data-state=state class="teaching">
            <Buttons distillation/>
            {failure}
            <Numbers distillation/>
            <DistillChart distillation/>
            <OnTheDial session distillation/>
        </div>
    }
}

/// Start, pause, stop, and the status.
#[component]
fn Buttons(distillation: Distillation) -> impl IntoView {
    let stage = distillation.stage;
    let is_busy = Memo::new(move |_| stage.with(DistillStage::is_busy));
    let settings = distillation.settings;
    let can_start =
        Memo::new(move |_| !is_busy.get() && settings.has_term() && settings.is_accepted());
    let is_paused = Memo::new(move |_| stage.with(|stage| *stage == DistillStage::Paused));
    let can_pause =
        move || stage.with(|stage| matches!(stage, DistillStage::Running | DistillStage::Paused));
    let pause = move |_| if is_paused.get() { distillation.resume() } else { distillation.pause() };
    let words = Memo::new(move |_| words(distillation));
    let progress = move || match stage.get() {
        DistillStage::Loading { bytes, total } => {
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
                on:click=move |_| distillation.start()
            >
                "Distill"
            </button>
            <button type="button" id="teach-pause" disabled=move || !can_pause() on:click=pause>
                {move || if is_paused.get() { "Resume" } else { "Pause" }}
            </button>
            <button
                type="button"
                id="teach-stop"
                disabled=move || !can_pause()
                on:click=move |_| distillation.stop()
            >
                "Stop"
            </button>
            <p role="status" id="teach-state">{move || words.get()}</p>
            <span class="quiet">{progress}</span>
        </div>
    }
}

/// The status; it changes rarely, since it is read aloud.
fn words(distillation: Distillation) -> String {
    if !distillation.settings.has_term() {
        return "Set at least one weight above 0.".to_owned();
    }
    if !distillation.settings.is_accepted() {
        return "One of the settings is not accepted.".to_owned();
    }
    let shown = distillation.shown;
    match distillation.stage.get() {
        DistillStage::Idle | DistillStage::Failed(_) => String::new(),
        DistillStage::Starting => "Loading the program …".to_owned(),
        DistillStage::Loading { .. } => "Loading the teacher …".to_owned(),
        DistillStage::Running => shown.with(|record| match record.as_deref() {
            Some(record) => {
                let (n_done, n_steps) = (record.steps.len(), record.settings.n_steps);
                // In steps of ten percent, since it is read aloud.
                format!("{} % done", n_done * 10 / n_steps.max(1) * 10)
            }
            None => "Running the first steps …".to_owned(),
        }),
        DistillStage::Paused => shown.with(|record| {
            let n_done = record.as_ref().map_or(0, |record| record.steps.len());
            format!("Paused after {}.", format::count(n_done, "step"))
        }),
        DistillStage::Ended => shown.with(|record| {
            let Some(record) = record else { return "Stopped before the first step.".to_owned() };
            let is_whole = record.steps.len() >= record.settings.n_steps;
            let end = if is_whole { "Done." } else { "Stopped." };
            format!("{end} {}", record.finding().unwrap_or_default())
        }),
    }
}

/// The last step in numbers.
#[component]
fn Numbers(distillation: Distillation) -> impl IntoView {
    let numbers = move || {
        distillation.shown.with(|record| {
            let record = record.as_deref()?;
            Some(numbers(record))
        })
    };
    view! { {numbers} }
}

fn numbers(record: &Record) -> Option<impl IntoView + use<>> {
    let step = record.steps.last()?;
    let terms = LossTerm::ALL.map(|term| {
        let value =
            term.value(&step.terms).map_or_else(|| "off".to_owned(), |it| format!("{it:.3}"));
        view! {
            <div>
                <dt>{format::capitalized(term.short_name())}</dt>
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
                <dt>"Steps/s"</dt>
                <dd>{format::speed(steps_per_second)}</dd>
            </div>
        </dl>
    })
}

/// Puts the student on the dial while no step is being taken.
#[component]
fn OnTheDial(session: Session, distillation: Distillation) -> impl IntoView {
    let stage = distillation.stage;
    let has_student = Memo::new(move |_| stage.with(DistillStage::has_student));
    let status = move || {
        distillation.on_dial.get().map(|n_steps| {
            view! {
                "The student of " {format::count(n_steps, "step")} " is on the dial: "
                <a href=View::Explore.path()>"try its sizes"</a> "."
            }
        })
    };
    let back = move |_| {
        // A manifest that was used before is still valid.
        let _ = session.restore_bundle();
        distillation.on_dial.set(None);
    };
    view! {
        <div class="button-row">
            <button
                type="button"
                id="teach-take"
                disabled=move || !has_student.get() || distillation.is_moving.get()
                on:click=move |_| distillation.put_on_dial()
            >
                "Put it on the dial"
            </button>
            <Show when=move || session.has_adopted()>
                <button type="button" id="teach-back" on:click=back>
                    "Restore the page's own student"
                </button>
            </Show>
            <p role="status" id="teach-told">{status}</p>
        </div>
        <p class="quiet">
            "The sizes of a student distilled here are not measured, so they have no curve. More steps \
             make a better student, but not a better family: after hundreds of steps the student \
             depends less on its teacher's layers, and the sizes in between get worse."
        </p>
    }
}
