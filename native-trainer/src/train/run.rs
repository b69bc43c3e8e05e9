//! The training loop: steps, logging, checkpoints, and how it stops.

use std::io::Write;
use std::time::Instant;

use anyhow::Context as _;
use boomerang_core::checkpoint::{CheckpointError, Precision, write_model};
use boomerang_core::distill::{Batch, Distiller, RowError, Rows, StepError};
use futures_lite::future::block_on;

use crate::exit::{Exit, OrExit as _, code_of};
use crate::progress::{Progress, note};
use crate::train::best::Best;
use crate::train::divergence::{advice, culprit, diverged};
use crate::train::guard::{Guard, GuardSettings, Verdict};
use crate::train::interrupt::Interrupt;
use crate::train::measurements::Measurements;
use crate::train::metrics::metrics_line;
use crate::train::rollback::{MOST, Rollback};
use crate::train::run_folder::{RunFolder, Snapshot, State, append_line};
use crate::train::status::{Arithmetic, Status};
use crate::train::tensorboard::EventFile;

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub struct LoopSettings {
    pub total_steps: usize,
    /// Micro-batches per optimizer step.
    pub micro_batches: usize,
    /// Sequences per micro-batch.
    pub rows: usize,
    pub save_every: usize,
    /// Save and stop after this many steps in total.
    pub stop_after: Option<usize>,
    pub guard: GuardSettings,
    /// Write event files for TensorBoard.
    pub tensorboard: bool,
}

impl LoopSettings {
    /// The micro-batches of a step, by its number in the data.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn micro_batches_of(&self, rows: &Rows, number: usize) -> Result<Vec<Batch>, RowError> {
        let first = number * self.micro_batches;
        let all = first..first + self.micro_batches;
        all.map(|number| rows.batch(number * self.rows, self.rows)).collect()
    }
}

/// How a loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Finished,
    /// Saved, to be resumed: after Ctrl-C, a `STOP` file, or `stop_after`.
    Paused {
        interrupted: bool,
    },
}

/// What a loop works with.
pub struct Training<'a> {
    pub rows: &'a Rows,
    pub settings: LoopSettings,
    pub measurements: Option<&'a Measurements>,
    pub run: &'a RunFolder,
    pub rollback: &'a Rollback<'a>,
    pub interrupt: &'a Interrupt,
    /// To compare the speed with; `None` where it is not known.
    pub arithmetic: Option<Arithmetic>,
}

/// Takes steps until the run is finished or asked to pause.
///
/// # Errors
/// When the loss is NaN or infinite (the last checkpoint is valid), or a file cannot be written.
pub fn train(
    distiller: &mut Distiller,
    training: &Training<'_>,
    mut state: State,
) -> anyhow::Result<Ending> {
    let Training { rows, settings, measurements, run, rollback, interrupt, .. } = *training;
    let mut metrics = run.metrics(distiller.n_steps())?;
    // Only the lines of steps before this one are left.
    let mut guard =
        Guard::after_lines(settings.guard, &run.metrics_text(), state.rolled_back.to_step);
    let mut best = best_after(measurements, &run.metrics_text(), run)?;
    let mut events =
        settings.tensorboard.then(|| EventFile::create(&run.tensorboard())).transpose()?;
    let mut progress = Progress::with_block("distill", settings.total_steps);
    let mut status =
        Status::new(*distiller.loss_weights(), distiller.n_steps(), settings.total_steps)
            .with_arithmetic(training.arithmetic);
    let (mut saved_at, mut is_overdue) = (distiller.n_steps(), false);
    let ending = loop {
        let step = distiller.n_steps();
        let asked = settings.stop_after.is_some_and(|last| step >= last);
        let is_last = step >= settings.total_steps;
        let exhausted = best.as_ref().filter(|_| !is_last).and_then(Best::exhausted);
        let ending = if is_last || exhausted.is_some() {
            Some(Ending::Finished)
        } else if asked || run.take_signal("STOP") {
            Some(Ending::Paused { interrupted: false })
        } else {
            interrupt.is_asked().then_some(Ending::Paused { interrupted: true })
        };
        let goes_on = distiller.agree(ending.is_none());
        if let Some(ending) = ending {
            if let Some(sentence) = exhausted {
                note(&sentence);
            }
            // The run ends here, so an error of another replica is ignored.
            break ending;
        }
        // Another replica was asked to end.
        if !goes_on? {
            break Ending::Paused { interrupted: true };
        }
        let started = Instant::now();
        let batches = settings
            .micro_batches_of(rows, step + state.rolled_back.skipped_steps)
            .or_exit(Exit::Unusable)?;
        let report = match block_on(distiller.step_if(&batches, |report| guard.accepts(report))) {
            Ok(report) => report,
            Err(error) => return Err(save_before(error, distiller, state, run)),
        };
        match guard.after(&report) {
            Verdict::Taken => {}
            Verdict::Skipped => {
                note(&format!("step {} left out: {}", step + 1, culprit(&report)));
                // The weights give no loss, so they are no result.
                if step + 1 == settings.total_steps && !report.is_finite() {
                    let error = diverged(&report, step, state.rolled_back.times, run);
                    return Err(error).or_exit(Exit::Diverged);
                }
            }
            Verdict::TooMany => {
                let before = state.rolled_back;
                let why = format!("step {} left out: {}", step + 1, culprit(&report));
                let returned = rollback
                    .go_back(distiller, settings.guard, before)
                    .with_context(|| why.clone())?;
                let Some(returned) = returned else {
                    let error = diverged(&report, step, before.times, run);
                    return Err(error).or_exit(Exit::Diverged);
                };
                (state, guard) = (returned.state, returned.guard);
                note(&format!(
                    "{why}; rolling back to step {} ({} of {MOST}): half the learning rate, and the next \
                     data",
                    state.step, state.rolled_back.times
                ));
                metrics = run.metrics(state.step)?;
                best = best_after(measurements, &returned.metrics, run)?;
                // From here the run is resumed with its next data and its smaller rate.
                save(distiller, state, run)?;
                saved_at = state.step;
                status.returned(state.step);
                continue;
            }
        }
        state.n_tokens += report.n_tokens;
        let tokens_per_second = report.n_tokens as f64 / started.elapsed().as_secs_f64();
        let mut line = metrics_line(&report, step + 1, state.n_tokens, tokens_per_second);
        status.step(step + 1, &report, state.n_tokens, tokens_per_second);
        if let Some(what) = measurements
            && let Err(error) =
                what.after_step(distiller, settings.total_steps, &mut line, &mut status)
        {
            return Err(save_before(error.into(), distiller, state, run));
        }
        append_line(&mut metrics, &line)?;
        if let Some(events) = &mut events {
            events.add(step + 1, &line)?;
        }
        let (mut is_best, was_overdue) = (false, is_overdue);
        if let Some(best) = &mut best {
            best.remember(&line);
            is_best = best.worth_keeping().any(|best| best.step == step + 1);
            status.best(best.measured());
        }
        let is_due = (step + 1).is_multiple_of(settings.save_every) || run.take_signal("SAVE");
        // A run goes back to before the steps that it leaves out, so none of them is saved.
        let waits = settings.guard.rolls_back && !report.is_taken;
        is_overdue = (is_due || is_overdue) && waits;
        if (is_due || was_overdue) && !waits || is_best {
            save(distiller, state, run)?;
            saved_at = step + 1;
            status.saved();
        }
        if let Some(best) = best.as_mut().filter(|_| is_best) {
            keep_best(best, run)?;
        }
        progress.report(step + 1, &status);
    };
    if distiller.n_steps() != saved_at || distiller.n_steps() == 0 {
        save(distiller, state, run)?;
    }
    progress.finish();
    if status.n_skipped() > 0 {
        let n_skipped = status.n_skipped();
        note(&match state.rolled_back.times {
            0 => format!("{n_skipped} steps were left out, as their lines in metrics.jsonl say"),
            n => {
                format!("{n_skipped} steps were left out; the run rolled back {n} of {MOST} times")
            }
        });
    }
    Ok(ending)
}

/// The best measurement among lines of `metrics.jsonl`, whose checkpoint is kept; `None` where nothing is
/// measured.
fn best_after(
    measurements: Option<&Measurements>,
    metrics: &str,
    run: &RunFolder,
) -> anyhow::Result<Option<Best>> {
    let mut best = measurements.map(|what| Best::after_lines(what.best, metrics));
    if let Some(best) = &mut best {
        keep_best(best, run)?;
    }
    Ok(best)
}

/// Keeps the checkpoint of the best measurement, also that of a run that was killed before it could, or
/// that did not keep one before, if it is still there.
fn keep_best(best: &mut Best, run: &RunFolder) -> anyhow::Result<()> {
    if let Some((step, metrics)) = run.kept_best() {
        best.keep(step, &metrics);
    }
    let found = best.worth_keeping().find(|best| run.has_checkpoint(best.step));
    if let Some(measured) = found {
        run.keep_best(measured.step).context("keeping the best checkpoint")?;
        best.keep(measured.step, &run.metrics_text());
    }
    Ok(())
}

fn save(distiller: &Distiller, state: State, run: &RunFolder) -> anyhow::Result<()> {
    let state = State { step: distiller.n_steps(), ..state };
    // The weights after the last step have not been used for a loss yet, so they may be NaN.
    run.save(state, distiller).map(|_| ()).map_err(|error| match code_of(&error) {
        Exit::Diverged => error.context(format!("after step {}; {}", state.step, advice(run))),
        _ => error.context("saving a checkpoint"),
    })
}

/// The student of before a step that failed for want of its teacher is kept.
fn save_before(
    error: StepError,
    distiller: &Distiller,
    state: State,
    run: &RunFolder,
) -> anyhow::Error {
    let step = distiller.n_steps();
    match save(distiller, state, run) {
        Ok(()) => anyhow::Error::from(error)
            .context(format!("the run is saved after step {step}; resume it with --resume")),
        Err(of_saving) => of_saving.context(error.to_string()),
    }
}

impl Snapshot for Distiller {
    fn write_model(&self, out: &mut dyn Write) -> Result<(), CheckpointError> {
        write_model(self.student().model(), Precision::F32, out)
    }

    fn write_optimizer(&self, out: &mut dyn Write) -> Result<(), CheckpointError> {
        self.write_optimizer_state(out)
    }
}
