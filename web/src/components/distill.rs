//! Distilling a student in the page, and putting it on the dial.

use boomerang_core::distill::loss::LossTerm;
use leptos::prelude::*;

use super::distill_chart::DistillChart;
use super::distill_glimpse::DistillGlimpse;
use super::distill_runs::DistillRuns;
use super::distill_settings::DistillSettingsForm;
use super::notice_box::NoticeBox;
use crate::browser::view::View;
use crate::state::dial::Dial;
use crate::state::distillation::Distillation;
use crate::state::distillation::run::{DistillStage, Keeping, Run, Task};
use crate::state::session::Session;
use crate::text::format;

#[component]
pub fn Distill(session: Session, dial: Dial, distillation: Distillation) -> impl IntoView {
    distillation.open_stored();
    distillation.look_for_gpu(dial.family.with_value(|family| family.largest_tensor_bytes()));
    let selected = distillation.selected;
    let state = move || selected.with(|run| run.as_ref().map_or("idle", |run| run.stage.name()));
    let failure = move || {
        let failure = selected.with(|run| run.as_ref().and_then(|run| run.failure.clone()));
        failure.map(|notice| view! { <NoticeBox notice/> })
    };
    view! {
        <div class="panel-head">
            <h1 id="teach-heading">"Distill a student here"</h1>
            <p class="quiet">
                "The teacher is pruned to the layers that you keep, and the student is distilled by \
                 the same code as on the command line, on this machine."
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
            <DistillGlimpse distillation/>
            <DistillChart distillation/>
            <OnTheDial session distillation/>
        </div>
        <DistillRuns distillation/>
    }
}

/// Start, pause, stop, and the status of the selected run.
#[component]
fn Buttons(distillation: Distillation) -> impl IntoView {
    let (selected, settings) = (distillation.selected, distillation.settings);
    let can_start = Memo::new(move |_| settings.has_term() && settings.is_accepted());
    let of = move |read: fn(&Run) -> bool| {
        Memo::new(move |_| selected.with(|run| run.as_ref().is_some_and(read)))
    };
    let is_busy = of(|run| run.stage.is_busy());
    let is_running = of(|run| run.stage == DistillStage::Running);
    let can_resume = of(Run::can_resume);
    let key = move || distillation.selected_key.get_untracked().unwrap_or_default();
    let pause = move |_| {
        if can_resume.get_untracked() {
            distillation.resume(&key());
        } else {
            distillation.pause(&key());
        }
    };
    let words = Memo::new(move |_| words(distillation));
    let kept = Memo::new(move |_| selected.with(|run| run.as_ref().map(kept_in_words)));
    let stored_steps = move || {
        selected.with(|run| match run.as_ref()?.keeping {
            Keeping::Stored { n_steps } => Some(n_steps.to_string()),
            Keeping::NotYet | Keeping::InMemory { .. } => None,
        })
    };
    let progress = move || {
        selected.with(|run| match run.as_ref()?.stage {
            DistillStage::Loading { bytes, total } => {
                Some(format!("{} of {}", format::bytes(bytes), format::bytes(total)))
            }
            _ => None,
        })
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
            <button
                type="button"
                id="teach-pause"
                disabled=move || !(is_running.get() || can_resume.get())
                on:click=pause
            >
                {move || if can_resume.get() { "Resume" } else { "Pause" }}
            </button>
            <button
                type="button"
                id="teach-stop"
                disabled=move || !is_busy.get()
                on:click=move |_| distillation.stop(&key())
            >
                "Stop"
            </button>
            <p role="status" id="teach-state">{move || words.get()}</p>
            <span class="quiet">{progress}</span>
        </div>
        <p class="quiet" id="teach-kept" data-steps=stored_steps>{move || kept.get()}</p>
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
    distillation.selected.with(|run| {
        let Some(run) = run else { return String::new() };
        let (n_done, n_steps) = (run.record.steps.len(), run.record.settings.n_steps);
        let done = format::count(n_done, "step");
        let name = format::capitalized(&run.name());
        let finding = run.record.finding().unwrap_or_default();
        match run.stage {
            DistillStage::Queued => format!("{name} waits for a core."),
            DistillStage::Starting => format!("{name}: loading the program …"),
            DistillStage::Loading { .. } => format!("{name}: loading the teacher …"),
            DistillStage::Running if n_done == 0 => format!("{name}: running the first steps …"),
            // In steps of ten percent, since it is read aloud.
            DistillStage::Running => {
                format!("{name}: {} % done", n_done * 10 / n_steps.max(1) * 10)
            }
            DistillStage::Paused => format!("{name} is paused after {done}."),
            DistillStage::Stopped => format!("{name} stopped after {done}. {finding}"),
            DistillStage::Ended => format!("{name} is done. {finding}"),
            DistillStage::Failed => format!("{name} failed after {done}."),
        }
    })
}

/// What a reload would leave of a run, and whether the browser has suspended it.
fn kept_in_words(run: &Run) -> String {
    let kept = match &run.keeping {
        Keeping::NotYet if run.stage.is_busy() => "Not stored yet: a reload loses it.".to_owned(),
        Keeping::NotYet => String::new(),
        Keeping::Stored { .. } => {
            "Stored in this browser: after a reload it can be resumed.".to_owned()
        }
        Keeping::InMemory { why } => {
            let rest = if run.stage.is_busy() { " The run continues." } else { "" };
            format!("Only in memory, a reload loses it: {why}.{rest}")
        }
    };
    let suspended = match run.suspended_millis {
        0.0 => String::new(),
        millis => format!(
            " The browser suspended it for {} while the tab was in the background; it continued \
             where it was.",
            format::seconds(millis / 1000.0)
        ),
    };
    let silent = run.silent_seconds.map_or_else(String::new, |n_seconds| {
        format!(
            " The worker has not answered for {n_seconds} seconds: a step may take long, or the \
             system has ended it. Stop ends the run at its last checkpoint."
        )
    });
    kept + &suspended + &silent
}

/// The last step in numbers.
#[component]
fn Numbers(distillation: Distillation) -> impl IntoView {
    move || distillation.selected.with(|run| numbers(run.as_ref()?))
}

fn numbers(run: &Run) -> Option<impl IntoView + use<>> {
    let record = &run.record;
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
    let held_out = record.held_out.last().map(|loss| {
        view! {
            <div>
                <dt>"Held-out loss, nats/token"</dt>
                <dd id="teach-held-out">
                    {format!("{:.3}", loss.nats)} <small>" after step " {loss.step}</small>
                </dd>
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
            {held_out}
            <div>
                <dt>"Training loss, this batch"</dt>
                <dd>{format!("{:.3}", step.terms.total)}</dd>
            </div>
            {terms.into_iter().collect_view()}
            <div>
                <dt>"Learning rate"</dt>
                <dd>{format!("{:.1e}", step.learning_rate)}</dd>
            </div>
            <div>
                <dt>"Steps/s"</dt>
                <dd id="teach-speed">{format::speed(steps_per_second)}</dd>
            </div>
        </dl>
    })
}

/// Puts the selected student on the dial while no step is being taken.
#[component]
fn OnTheDial(session: Session, distillation: Distillation) -> impl IntoView {
    let is_idle = Memo::new(move |_| {
        distillation.selected.with(|run| run.as_ref().is_some_and(Run::is_idle))
    });
    let request = move |task: Task| {
        let key = distillation.selected_key.get_untracked().unwrap_or_default();
        distillation.request(&key, task);
    };
    let status = move || {
        let (key, n_steps) = distillation.on_dial.get()?;
        let runs = distillation.runs;
        let name = runs.with(|runs| Some(runs.iter().find(|run| run.key == key)?.name()));
        let name = name.map(|name| format!(", {name},"));
        Some(view! {
            "The student of " {format::count(n_steps, "step")} {name} " is on the dial: "
            <a href=View::Explore.path()>"try its sizes"</a> "."
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
                disabled=move || !is_idle.get()
                on:click=move |_| request(Task::PutOnDial)
            >
                "Put it on the dial"
            </button>
            <button
                type="button"
                id="teach-measure"
                disabled=move || !is_idle.get()
                on:click=move |_| request(Task::MeasureSizes)
            >
                "Measure all sizes"
            </button>
            <Show when=move || session.has_adopted()>
                <button type="button" id="teach-back" on:click=back>
                    "Restore the page's own student"
                </button>
            </Show>
            <p role="status" id="teach-status">{status}</p>
        </div>
        <p class="quiet">
            "More steps make a better student, but after hundreds of steps it depends less on its \
             teacher's layers: sizes in between are then worse than the student. The mean over sizes \
             may fall all the same. Run both presets and measure all sizes to see it."
        </p>
    }
}
