//! Progress on standard error: a bar with the time left on a terminal, lines in a pipe, or JSON.

mod download;
mod format;

use std::io::{self, IsTerminal as _, Write as _, stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

pub use download::Download;
pub use format::ProgressFormat;

/// How often a line is written for people, and for programs.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
const JSON_EVERY: Duration = Duration::from_secs(1);

/// The progress of one long piece of work, on standard error.
pub struct Progress {
    task: String,
    total: u64,
    started: Instant,
    sink: Sink,
}

enum Sink {
    Bar(ProgressBar),
    /// When the last line was written.
    Plain(Instant),
    /// The same; `None` before the first.
    Json(Option<Instant>),
}

/// What a piece of work reports of itself, in each format.
pub trait Report {
    /// Several lines for a terminal, which are drawn again and again.
    fn block(&self) -> String;

    /// The same in one line.
    fn line(&self) -> String;

    /// The same as keys of a JSON object, which come before those that every task has.
    fn facts(&self) -> Value;
}

impl Progress {
    /// A task with a bar.
    pub fn new(task: &str, total: usize) -> Self {
        let template = "{prefix:<22} {bar:32} {pos:>6}/{len}  {elapsed}  left {eta}  {msg}";
        Self::with_template(task, total, template)
    }

    /// A task with a block of lines: a [`Report`].
    pub fn with_block(task: &str, total: usize) -> Self {
        Self::with_template(task, total, "{msg}")
    }

    fn with_template(task: &str, total: usize, template: &str) -> Self {
        let (task, total, now) = (task.to_owned(), total as u64, Instant::now());
        let is_seen = stderr().is_terminal() && !IS_MUTE.load(Ordering::Relaxed);
        let sink = match ProgressFormat::current() {
            ProgressFormat::Json => Sink::Json(None),
            ProgressFormat::Auto if is_seen => {
                let bar = BARS.add(ProgressBar::new(total).with_prefix(task.clone()));
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                Sink::Bar(bar)
            }
            ProgressFormat::Auto | ProgressFormat::Plain => Sink::Plain(now),
        };
        Self { task, total, started: now, sink }
    }

    /// Sets `done` of the total, with a message.
    pub fn set(&mut self, done: usize, message: impl FnOnce() -> String) {
        let done = done as u64;
        if let Sink::Bar(bar) = &self.sink {
            bar.set_message(message());
            bar.set_position(done);
        } else if self.is_due(done) {
            let elapsed = self.started.elapsed().as_secs_f64();
            let left = elapsed * self.total.saturating_sub(done) as f64 / done.max(1) as f64;
            let Self { task, total, .. } = self;
            match self.sink {
                Sink::Json(_) => {
                    let left = (done > 0).then_some(left);
                    emit(&json!({"event": "progress", "task": task, "done": done, "total": total,
                        "elapsed_s": elapsed, "left_s": left, "message": message()}));
                }
                _ => note(&format!(
                    "{task}  {done}/{total}  {elapsed:.0} s, left {left:.0} s  {}",
                    message()
                )),
            }
        }
    }

    /// Sets `done` of the total, with all that is reported of it.
    pub fn report(&mut self, done: usize, report: &dyn Report) {
        let done = done as u64;
        if let Sink::Bar(bar) = &self.sink {
            bar.set_message(report.block());
            bar.set_position(done);
        } else if self.is_due(done) {
            match self.sink {
                Sink::Json(_) => {
                    let mut line = json!({"event": "progress", "task": self.task, "done": done,
                        "total": self.total, "elapsed_s": self.started.elapsed().as_secs_f64()});
                    for (key, value) in report.facts().as_object().into_iter().flatten() {
                        line[key] = value.clone();
                    }
                    emit(&line);
                }
                _ => note(&format!("{}  {}", self.task, report.line())),
            }
        }
    }

    /// Whether a line is to be written, which is then remembered.
    fn is_due(&mut self, done: u64) -> bool {
        let is_last = done == self.total;
        let now = Instant::now();
        let is_due = match self.sink {
            Sink::Bar(_) => false,
            Sink::Plain(last) => now.duration_since(last) >= PLAIN_EVERY,
            Sink::Json(last) => last.is_none_or(|last| now.duration_since(last) >= JSON_EVERY),
        };
        match &mut self.sink {
            _ if !is_due && !is_last => return false,
            Sink::Bar(_) => {}
            Sink::Plain(last) => *last = now,
            Sink::Json(last) => *last = Some(now),
        }
        true
    }

    pub fn finish(&self) {
        if let Sink::Bar(bar) = &self.sink {
            bar.finish();
        }
    }
}

/// The bars on the terminal, which lines must not be written into.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Whether this process leaves all but errors to another one.
static IS_MUTE: AtomicBool = AtomicBool::new(false);

/// Leaves progress and results to another process of the same job.
pub fn mute() {
    IS_MUTE.store(true, Ordering::Relaxed);
}

/// One line on standard error, unless another process writes it.
pub fn note(line: &str) {
    if IS_MUTE.load(Ordering::Relaxed) {
        return;
    }
    match ProgressFormat::current() {
        ProgressFormat::Json => emit(&format::note(line)),
        _ => complain(line),
    }
}

/// The last line on standard error, which every process writes: why it ends.
pub fn fail(sentence: &str, exit_code: u8) {
    match ProgressFormat::current() {
        ProgressFormat::Json => complain(&format::error(sentence, exit_code).to_string()),
        _ => complain(&format!("boomerang: {sentence}")),
    }
}

/// A line of JSON, unless another process writes it.
fn emit(event: &Value) {
    if !IS_MUTE.load(Ordering::Relaxed) {
        complain(&event.to_string());
    }
}

fn complain(line: &str) {
    #[allow(clippy::print_stderr, reason = "the only function that writes there")]
    BARS.suspend(|| eprintln!("{line}"));
}

/// One line of a result on standard output.
pub fn print(line: &str) {
    print_piece(&format!("{line}\n"));
}

/// A part of a line of a result, flushed at once.
///
/// A failure is kept for [`finish_output`], because it must not end a run whose results are on
/// disk.
pub fn print_piece(text: &str) {
    if IS_MUTE.load(Ordering::Relaxed) {
        return;
    }
    let mut out = stdout();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// The first failure to print a result.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Whether all results could be printed.
///
/// # Errors
/// The first failure: a full disk, or a closed pipe.
pub fn finish_output() -> anyhow::Result<()> {
    match LOST.lock().unwrap_or_else(PoisonError::into_inner).take() {
        None => Ok(()),
        Some(error) => Err(error).context("standard output cannot be written"),
    }
}
