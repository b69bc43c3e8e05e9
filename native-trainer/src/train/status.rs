//! What a run reports of itself while it trains: a block on a terminal, a line in a log, keys in JSON.

use std::time::{Duration, Instant};

use boomerang_core::distill::StepReport;
use boomerang_core::distill::loss::{LossTerm, LossTerms, LossWeights};
use serde_json::{Value, json};

use super::best::Measured;
use crate::memory::resident_memory;
use crate::progress::Report;

/// The state of a run after its last step.
pub struct Status {
    weights: LossWeights,
    step: usize,
    n_steps: usize,
    n_tokens: usize,
    tokens_per_second: f64,
    terms: LossTerms,
    grad_norm: f64,
    learning_rate: f64,
    n_skipped: usize,
    /// The last that was measured.
    held_out: Option<Measured>,
    /// The mean loss over some sizes of the family, likewise.
    curve_area: Option<Measured>,
    best: Option<Measured>,
    pace: Pace,
    saved: Option<Instant>,
    memory: fn() -> Option<u64>,
    arithmetic: Option<Arithmetic>,
}

/// What a run computes, and what its devices could.
#[derive(Clone, Copy, Debug)]
pub struct Arithmetic {
    /// Floating-point operations per token.
    pub per_token: f64,
    /// Measured floating-point operations per second of products of matrices, on all devices together.
    pub peak: f64,
}

/// How long the steps of this process have taken, with all that is done between them.
struct Pace {
    started: Instant,
    /// After its first step, which is slower than the others: the time and the step.
    settled: Option<(Instant, usize)>,
}

/// Steps that are measured before the time left is shown.
const LEAST: usize = 5;

impl Pace {
    fn after(&mut self, step: usize) {
        self.settled.get_or_insert_with(|| (Instant::now(), step));
    }

    /// `None` during the first steps.
    fn left(&self, step: usize, n_steps: usize) -> Option<Duration> {
        let (since, first) = self.settled?;
        let n_measured = step.checked_sub(first).filter(|&n_measured| n_measured >= LEAST)?;
        let share = n_steps.saturating_sub(step) as f64 / n_measured as f64;
        Some(since.elapsed().mul_f64(share))
    }
}

impl Status {
    /// A run of `n_steps` that this process continues after `step` of them.
    pub fn new(weights: LossWeights, step: usize, n_steps: usize) -> Self {
        Self {
            weights,
            step,
            n_steps,
            n_tokens: 0,
            tokens_per_second: 0.0,
            terms: LossTerms::default(),
            grad_norm: 0.0,
            learning_rate: 0.0,
            n_skipped: 0,
            held_out: None,
            curve_area: None,
            best: None,
            pace: Pace { started: Instant::now(), settled: None },
            saved: None,
            memory: resident_memory,
            arithmetic: None,
        }
    }

    /// Shows the speed as a share of the measured peak, too.
    #[must_use]
    pub fn with_arithmetic(self, arithmetic: Option<Arithmetic>) -> Self {
        Self { arithmetic, ..self }
    }

    /// After a step, and what was measured then.
    pub fn step(&mut self, step: usize, report: &StepReport, n_tokens: usize, speed: f64) {
        self.step = step;
        self.n_tokens = n_tokens;
        self.tokens_per_second = speed;
        self.terms = report.terms.clone();
        self.grad_norm = report.grad_norm;
        self.learning_rate = report.learning_rate;
        self.n_skipped += usize::from(!report.is_taken);
        self.pace.after(step);
    }

    /// The run has left out a step too many and gone back to a checkpoint, which was saved again.
    pub fn returned(&mut self, step: usize) {
        self.step = step;
        self.n_skipped += 1;
        self.pace.settled = None;
        self.saved();
    }

    pub fn held_out(&mut self, loss: f64) {
        self.held_out = Some(Measured { step: self.step, value: loss });
    }

    pub fn curve_area(&mut self, area: f64) {
        self.curve_area = Some(Measured { step: self.step, value: area });
    }

    /// The best measurement so far, of the kind that is compared.
    pub fn best(&mut self, best: Option<Measured>) {
        self.best = best;
    }

    pub fn saved(&mut self) {
        self.saved = Some(Instant::now());
    }

    /// Steps that were left out by this process.
    pub fn n_skipped(&self) -> usize {
        self.n_skipped
    }

    /// Of the measured peak.
    fn share_of_peak(&self) -> Option<f64> {
        let Arithmetic { per_token, peak } = self.arithmetic?;
        Some(self.tokens_per_second * per_token / peak)
    }

    fn percent(&self) -> f64 {
        100.0 * self.step as f64 / self.n_steps.max(1) as f64
    }

    /// The loss as its weighted terms: `2.913 = ce 2.671 + 0.1 · kl 0.402`.
    fn loss(&self) -> String {
        let terms = LossTerm::ALL.into_iter().filter_map(|term| {
            let value = term.value(&self.terms)?;
            let weight = term.weight(&self.weights);
            let factor = if weight == 1.0 { String::new() } else { format!("{weight} · ") };
            Some(format!("{factor}{} {value:.3}", term.key()))
        });
        format!("{:.3} = {}", self.terms.total, terms.collect::<Vec<_>>().join(" + "))
    }

    /// Where the run is and how fast.
    fn position(&self) -> Vec<String> {
        let mut parts = vec![
            format!("step {}/{}", self.step, self.n_steps),
            format!("{:.1} %", self.percent()),
            format!("{} tokens", short(self.n_tokens as f64)),
            format!("{} tokens/s", short(self.tokens_per_second)),
        ];
        parts.extend(self.share_of_peak().map(|share| format!("{:.0} % of peak", 100.0 * share)));
        let memory = (self.memory)().map(|n_bytes| format!("memory {}B", short(n_bytes as f64)));
        parts.extend(memory);
        parts
    }

    fn losses(&self) -> Vec<String> {
        vec![
            format!("loss {}", self.loss()),
            format!("grad norm {:.2}", self.grad_norm),
            format!("lr {:.2e}", self.learning_rate),
            format!("skipped {}", self.n_skipped),
        ]
    }

    fn times(&self) -> Vec<String> {
        let left = self.pace.left(self.step, self.n_steps);
        let mut parts = vec![format!("elapsed {}", clock(self.pace.started.elapsed()))];
        parts.extend(left.map(|left| format!("left {}", clock(left))));
        parts.push(match self.saved {
            Some(saved) => format!("saved {} ago", clock(saved.elapsed())),
            None => "not saved yet".to_owned(),
        });
        parts
    }

    /// What was measured on sequences that are held out.
    fn measured(&self) -> Vec<String> {
        let all = [
            ("held-out loss", self.held_out),
            ("curve area", self.curve_area),
            ("best", self.best),
        ];
        let measured = all.into_iter().filter_map(|(name, measured)| {
            measured.map(|Measured { step, value }| format!("{name} {value:.3} (step {step})"))
        });
        measured.collect()
    }

    fn all(&self) -> Vec<Vec<String>> {
        let all = [self.position(), self.losses(), self.times(), self.measured()];
        all.into_iter().filter(|parts| !parts.is_empty()).collect()
    }
}

impl Report for Status {
    fn block(&self) -> String {
        self.all().iter().map(|parts| parts.join("   ")).collect::<Vec<_>>().join("\n")
    }

    fn line(&self) -> String {
        self.all().concat().join("  ")
    }

    fn facts(&self) -> Value {
        let seconds = |time: Duration| time.as_secs_f64();
        let entry = |measured: Option<Measured>, name: &str| {
            measured.map(|Measured { step, value }| json!({"step": step, name: value}))
        };
        let mut facts = json!({
            "elapsed_s": seconds(self.pace.started.elapsed()),
            "left_s": self.pace.left(self.step, self.n_steps).map(seconds),
            "tokens": self.n_tokens,
            "tokens_per_second": self.tokens_per_second,
            "share_of_peak": self.share_of_peak(),
            "loss": self.terms.total,
            "grad_norm": self.grad_norm,
            "lr": self.learning_rate,
            "skipped": self.n_skipped,
            "memory_bytes": (self.memory)(),
            "held_out": entry(self.held_out, "loss"),
            "curve_area": entry(self.curve_area, "area"),
            "best": entry(self.best, "value"),
            "saved_s_ago": self.saved.map(|saved| seconds(saved.elapsed())),
        });
        for term in LossTerm::ALL {
            facts[term.key()] = json!(term.value(&self.terms));
        }
        facts
    }
}

/// `54.0 M`, `4.48 k`: three digits.
fn short(number: f64) -> String {
    let units = [(1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, "")];
    let (unit, name) = units.into_iter().find(|(unit, _)| number >= *unit).unwrap_or((1.0, ""));
    let scaled = number / unit;
    let n_decimals = match scaled {
        _ if name.is_empty() => 0,
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{scaled:.n_decimals$}{name}")
}

/// `2:51:10`, `1:05`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let weights = LossWeights { kl: 0.1, alignment: 2.0, ..LossWeights::default() };
        let mut status = Status::new(weights, 400, 763);
        status.memory = || Some(7_900_000_000);
        let terms = LossTerms {
            total: 2.913,
            cross_entropy: Some(2.671),
            kl: Some(0.402),
            alignment: vec![0.1, 0.102],
        };
        let report = StepReport {
            terms,
            micro_batches: Vec::new(),
            grad_norm: 0.834,
            learning_rate: 2.1e-4,
            n_tokens: 1,
            is_taken: true,
        };
        status.held_out(2.88);
        status.step(412, &report, 54_001_664, 4480.0);
        status
    }

    #[test]
    fn a_block_has_the_step_the_loss_by_its_terms_and_the_times() {
        let expected = "step 412/763   54.0 %   54.0 M tokens   4.48 k tokens/s   memory 7.90 GB\n\
            loss 2.913 = ce 2.671 + 0.1 · kl 0.402 + 2 · cosine 0.101   grad norm 0.83   lr 2.10e-4   \
            skipped 0\n\
            elapsed 0:00   not saved yet\n\
            held-out loss 2.880 (step 400)";
        assert_eq!(status().block(), expected);
        assert_eq!(status().line().lines().count(), 1);
    }

    #[test]
    fn the_speed_is_shown_as_a_share_of_the_measured_peak() {
        let arithmetic = Arithmetic { per_token: 1e9, peak: 8e12 };
        let status = status().with_arithmetic(Some(arithmetic));
        assert!(status.block().contains("4.48 k tokens/s   56 % of peak   memory"));
        assert_eq!(status.facts()["share_of_peak"], json!(0.56));
    }

    #[test]
    fn the_time_left_is_not_shown_during_the_first_steps() {
        let mut status = status();
        assert_eq!(status.facts()["left_s"], Value::Null);
        // 20 s for the steps after the first one of this process.
        let since = Instant::now().checked_sub(Duration::from_secs(20)).unwrap();
        status.pace.settled = Some((since, 408));
        assert_eq!(status.facts()["left_s"], Value::Null);
        status.pace.settled = Some((since, 402));
        let left = status.facts()["left_s"].as_f64().unwrap();
        assert!((left - 702.0).abs() < 2.0, "{left}");
        assert!(status.block().contains("left 11:4"), "{}", status.block());
    }

    #[test]
    fn numbers_have_three_digits_and_times_a_clock() {
        let numbers = [7.0, 999.0, 1000.0, 54_001_664.0, 123_456.0].map(short);
        assert_eq!(numbers, ["7", "999", "1.00 k", "54.0 M", "123 k"]);
        let times = [65, 10_270].map(|seconds| clock(Duration::from_secs(seconds)));
        assert_eq!(times, ["1:05", "2:51:10"]);
    }
}
