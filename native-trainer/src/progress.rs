//! Progress on standard error: a bar with the time left on a terminal, plain lines in a pipe.

use std::io::{self, IsTerminal as _, Write as _, stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use boomerang_hub::{DownloadProgress, HubId};
use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written when standard error is not a terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// The progress of one long piece of work, on standard error.
pub struct Progress {
    bar: ProgressBar,
    plain: Option<Plain>,
}

struct Plain {
    label: String,
    total: u64,
    started: Instant,
    reported: Instant,
}

impl Progress {
    pub fn new(label: &str, total: usize) -> Self {
        let total = total as u64;
        if !stderr().is_terminal() || IS_MUTE.load(Ordering::Relaxed) {
            let now = Instant::now();
            let plain = Plain { label: label.to_owned(), total, started: now, reported: now };
            return Self { bar: ProgressBar::hidden(), plain: Some(plain) };
        }
        let style = ProgressStyle::with_template(
            "{prefix:<22} {bar:32} {pos:>6}/{len}  {elapsed}  left {eta}  {msg}",
        );
        let bar = ProgressBar::new(total).with_prefix(label.to_owned());
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self { bar, plain: None }
    }

    /// Sets `done` of the total, with a message.
    pub fn set(&mut self, done: usize, message: impl FnOnce() -> String) {
        match &mut self.plain {
            None => {
                self.bar.set_message(message());
                self.bar.set_position(done as u64);
            }
            Some(plain) => plain.report(done as u64, message),
        }
    }

    pub fn finish(&self) {
        self.bar.finish();
    }
}

impl Plain {
    fn report(&mut self, done: u64, message: impl FnOnce() -> String) {
        let is_last = done == self.total;
        if self.reported.elapsed() < PLAIN_EVERY && !is_last {
            return;
        }
        self.reported = Instant::now();
        let elapsed = self.started.elapsed().as_secs_f64();
        let left = elapsed * self.total.saturating_sub(done) as f64 / done.max(1) as f64;
        note(&format!(
            "{}  {done}/{}  {elapsed:.0} s, left {left:.0} s  {}",
            self.label,
            self.total,
            message()
        ));
    }
}

/// Whether this process leaves all but errors to another one.
static IS_MUTE: AtomicBool = AtomicBool::new(false);

/// Leaves progress and results to another process of the same job.
pub fn mute() {
    IS_MUTE.store(true, Ordering::Relaxed);
}

/// One line on standard error, unless another process writes it.
pub fn note(line: &str) {
    if !IS_MUTE.load(Ordering::Relaxed) {
        complain(line);
    }
}

/// One line on standard error that every process writes: why it ends.
pub fn complain(line: &str) {
    #[allow(clippy::print_stderr, reason = "the only function that writes there")]
    {
        eprintln!("{line}");
    }
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

/// Progress of a download.
#[derive(Default)]
pub struct Download {
    progress: Option<Progress>,
    n_bytes: u64,
}

const MEGABYTE: u64 = 1_000_000;
/// Smaller downloads finish before a bar would be seen.
const WORTH_A_BAR: u64 = 10 * MEGABYTE;

impl DownloadProgress for Download {
    fn start(&mut self, id: &HubId, n_bytes: u64) {
        let name = id.repo().rsplit('/').next().unwrap_or_default();
        let n_megabytes = n_bytes.div_ceil(MEGABYTE) as usize;
        self.n_bytes = n_bytes;
        self.progress =
            (n_bytes >= WORTH_A_BAR).then(|| Progress::new(&format!("{name}, MB"), n_megabytes));
    }

    fn advance(&mut self, n_bytes: u64, name: &str) {
        if let Some(progress) = &mut self.progress {
            progress.set((n_bytes / MEGABYTE) as usize, || name.to_owned());
        }
    }

    fn finish(&mut self) {
        if let Some(mut progress) = self.progress.take() {
            progress.set(self.n_bytes.div_ceil(MEGABYTE) as usize, String::new);
            progress.finish();
        }
    }
}
