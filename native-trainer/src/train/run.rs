//! The training loop: steps, logging, checkpoints, and how it stops.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use boomerang_core::checkpoint::{CheckpointError, Precision, write_model};
use boomerang_core::distill::loss::LossTerm;
use boomerang_core::distill::{Batch, Distiller, Rows, StepError, StepReport};
use futures_lite::future::block_on;
use serde_json::{Value, json};

use crate::exit::{Exit, OrExit as _, code_of};
use crate::progress::{Progress, note};
use crate::train::run_folder::{RunFolder, Snapshot, State, append_line};

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
}

impl LoopSettings {
    /// The micro-batches of the step after `n_steps`.
    pub fn micro_batches_of(&self, rows: &Rows, n_steps: usize) -> Vec<Batch> {
        let first = n_steps * self.micro_batches;
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

/// Set by the first Ctrl-C; a second one ends the process immediately.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens to Ctrl-C and to termination; every caller in a process gets the same flag.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn listen() -> anyhow::Result<Self> {
        static LISTENING: Mutex<Option<Interrupt>> = Mutex::new(None);
        let mut listening = LISTENING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(interrupt) = &*listening {
            return Ok(interrupt.clone());
        }
        let interrupt = Self::default();
        let asked = Arc::clone(&interrupt.asked);
        ctrlc::set_handler(move || {
            if asked.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(Exit::Interrupted.code()));
            }
            note("finishing this step and saving; press Ctrl-C again to stop immediately");
        })
        .context("listening to Ctrl-C")?;
        *listening = Some(interrupt.clone());
        Ok(interrupt)
    }

    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Takes steps until the run is finished or asked to pause.
///
/// # Errors
/// When the loss is NaN or infinite (the last checkpoint is valid), or a file cannot be written.
pub fn train(
    distiller: &mut Distiller,
    rows: &Rows,
    settings: LoopSettings,
    run: &RunFolder,
    mut n_tokens: usize,
    interrupt: &Interrupt,
) -> anyhow::Result<Ending> {
    let mut metrics = run.metrics(distiller.n_steps())?;
    let mut progress = Progress::new("distill", settings.total_steps);
    let mut saved_at = distiller.n_steps();
    let ending = loop {
        let step = distiller.n_steps();
        let asked = settings.stop_after.is_some_and(|last| step >= last);
        let ending = if step >= settings.total_steps {
            Some(Ending::Finished)
        } else if asked || run.take_signal("STOP") {
            Some(Ending::Paused { interrupted: false })
        } else {
            interrupt.is_asked().then_some(Ending::Paused { interrupted: true })
        };
        let goes_on = distiller.agree(ending.is_none());
        if let Some(ending) = ending {
            // The run ends here, so an error of another replica is ignored.
            break ending;
        }
        goes_on?;
        let started = Instant::now();
        let batches = settings.micro_batches_of(rows, step);
        let report = match block_on(distiller.step(&batches)) {
            Ok(report) => report,
            Err(error) => return Err(save_before(error, distiller, n_tokens, run)),
        };
        if !report.is_finite() {
            return Err(diverged(&report, step, run)).or_exit(Exit::Diverged);
        }
        n_tokens += report.n_tokens;
        let tokens_per_second = report.n_tokens as f64 / started.elapsed().as_secs_f64();
        log(&mut metrics, &report, step + 1, n_tokens, tokens_per_second)?;
        progress.set(step + 1, || {
            format!("loss {:.3}  {tokens_per_second:.0} tok/s", report.terms.total)
        });
        if (step + 1).is_multiple_of(settings.save_every) || run.take_signal("SAVE") {
            save(distiller, n_tokens, run)?;
            saved_at = step + 1;
        }
    };
    if distiller.n_steps() != saved_at || distiller.n_steps() == 0 {
        save(distiller, n_tokens, run)?;
    }
    progress.finish();
    Ok(ending)
}

fn save(distiller: &Distiller, n_tokens: usize, run: &RunFolder) -> anyhow::Result<()> {
    let state = State { step: distiller.n_steps(), n_tokens };
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
    n_tokens: usize,
    run: &RunFolder,
) -> anyhow::Error {
    let step = distiller.n_steps();
    match save(distiller, n_tokens, run) {
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

fn log(
    metrics: &mut File,
    report: &StepReport,
    step: usize,
    n_tokens: usize,
    tokens_per_second: f64,
) -> anyhow::Result<()> {
    append_line(metrics, &metrics_line(report, step, n_tokens, tokens_per_second))
}

/// One line of `metrics.jsonl`. `cosine` is the mean of `cosine_by_state`, both before the weight.
pub fn metrics_line(
    report: &StepReport,
    step: usize,
    n_tokens: usize,
    tokens_per_second: f64,
) -> Value {
    let mut line = json!({ "step": step, "loss": report.terms.total });
    for term in LossTerm::ALL {
        line[term.key()] = json!(term.value(&report.terms));
    }
    line["cosine_by_state"] = json!(report.terms.alignment);
    line["grad_norm"] = json!(report.grad_norm);
    line["lr"] = json!(report.learning_rate);
    line["tokens"] = json!(n_tokens);
    line["tokens_per_second"] = json!(tokens_per_second);
    line
}

/// Advice for a run that diverged.
fn advice(run: &RunFolder) -> String {
    match run.newest_step() {
        Some(saved) => format!(
            "resume from the checkpoint at step {saved} with --resume --allow-mismatch and a smaller \
             --lr, or start over with --force"
        ),
        None => "there is no checkpoint yet; start over with --force and a smaller --lr".to_owned(),
    }
}

fn diverged(report: &StepReport, step: usize, run: &RunFolder) -> anyhow::Error {
    let culprit = match report.terms.first_not_finite() {
        Some(term) => format!("the {}", term.name()),
        None if !report.terms.total.is_finite() => "the loss".to_owned(),
        None => "the gradient".to_owned(),
    };
    anyhow::anyhow!("{culprit} is NaN or infinite at step {}: {}", step + 1, advice(run))
}
