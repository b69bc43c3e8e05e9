//! The best measurement of a run: when it ends early, and which checkpoint it keeps.

use serde_json::Value;

/// What becomes of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BestSettings {
    pub measure: Measure,
    /// Measurements without a better one after which the run ends.
    pub patience: Option<usize>,
    /// Whether the checkpoint of the best is kept, and becomes the student.
    pub keeps: bool,
}

/// Which number is compared; lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    HeldOutLoss,
    CurveArea,
}

/// A measurement after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub step: usize,
    pub value: f64,
}

/// The best so far.
#[derive(Debug)]
pub struct Best {
    settings: BestSettings,
    best: Option<Measured>,
    last: Option<Measured>,
    /// That of the checkpoint that is kept, which may be another one in a run that has not always kept
    /// one.
    kept: Option<Measured>,
    n_worse: usize,
}

impl Measure {
    /// The value in a line of `metrics.jsonl`, with its step; `None` where it was not measured.
    pub fn of_line(self, line: &Value) -> Option<Measured> {
        let value = match self {
            Self::HeldOutLoss => line.get("held_out")?.get("loss")?,
            Self::CurveArea => line.get("curve_area")?,
        };
        // NaN and infinity are null in JSON.
        let value = value.as_f64().unwrap_or(f64::NAN);
        Some(Measured { step: line["step"].as_u64()? as usize, value })
    }

    fn name(self) -> &'static str {
        match self {
            Self::HeldOutLoss => "held-out loss",
            Self::CurveArea => "mean loss over the sizes",
        }
    }
}

impl Measured {
    fn is_better_than(self, other: Option<Self>) -> bool {
        self.value.is_finite() && other.is_none_or(|other| self.value < other.value)
    }
}

impl BestSettings {
    /// The measurement after a step, from lines of `metrics.jsonl`.
    pub fn measured_after(self, step: usize, metrics: &str) -> Option<Measured> {
        let lines = metrics.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut measured = lines.filter_map(|line: Value| self.measure.of_line(&line));
        measured.rfind(|measured| measured.step == step)
    }

    /// In a sentence about the student of this measurement.
    pub fn describe(self, measured: Measured) -> String {
        let Measured { step, value } = measured;
        format!("of step {step}, whose {} of {value:.4} is the best", self.measure.name())
    }
}

impl Best {
    /// As it was after the steps of these lines of `metrics.jsonl`.
    pub fn after_lines(settings: BestSettings, metrics: &str) -> Self {
        let mut best = Self { settings, best: None, last: None, kept: None, n_worse: 0 };
        for line in metrics.lines() {
            if let Ok(line) = serde_json::from_str(line) {
                best.remember(&line);
            }
        }
        best
    }

    /// Remembers a line, if it has a measurement.
    pub fn remember(&mut self, line: &Value) {
        let Some(measured) = self.settings.measure.of_line(line) else { return };
        self.last = Some(measured);
        if measured.is_better_than(self.best) {
            self.best = Some(measured);
            self.n_worse = 0;
        } else {
            self.n_worse += 1;
        }
    }

    /// Remembers which checkpoint is kept, by the lines of its metrics.
    pub fn keep(&mut self, step: usize, metrics: &str) {
        self.kept = self.settings.measured_after(step, metrics);
    }

    /// The measurements whose checkpoint should be kept instead of that which is, the better one first;
    /// the checkpoint of the best is gone where a run has not always kept one.
    pub fn worth_keeping(&self) -> impl Iterator<Item = Measured> {
        let all = [self.best, self.last].into_iter().flatten();
        let (keeps, kept) = (self.settings.keeps, self.kept);
        all.filter(move |measured| keeps && measured.is_better_than(kept))
    }

    /// Why the run ends, when no measurement has been better for too long.
    pub fn exhausted(&self) -> Option<String> {
        let patience = self.settings.patience.filter(|&patience| self.n_worse >= patience)?;
        let name = self.settings.measure.name();
        Some(match self.best {
            Some(best) => format!(
                "stopped early: the {name} has not improved for {patience} measurements; the best is \
                 {:.4}, after step {}",
                best.value, best.step
            ),
            None => format!(
                "stopped early: the {name} was NaN or infinite in {} measurements",
                self.n_worse
            ),
        })
    }

    /// The best so far.
    pub fn measured(&self) -> Option<Measured> {
        self.best
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(patience: usize) -> BestSettings {
        BestSettings { measure: Measure::HeldOutLoss, patience: Some(patience), keeps: true }
    }

    fn lines(losses: &[f64]) -> Vec<Value> {
        let line =
            |(index, loss): (usize, &f64)| json!({"step": index + 1, "held_out": {"loss": loss}});
        losses.iter().enumerate().map(line).collect()
    }

    fn after(losses: &[f64], patience: usize) -> Best {
        let text: String = lines(losses).iter().map(|line| format!("{line}\n")).collect();
        Best::after_lines(settings(patience), &text)
    }

    #[test]
    fn a_run_ends_after_as_many_measurements_without_a_better_one() {
        assert!(after(&[3.0, 2.0, 2.5, 1.9, 2.0, 1.9], 3).exhausted().is_none());
        let sentence = after(&[3.0, 2.0, 2.5, 2.1, 2.0], 3).exhausted().unwrap();
        assert!(
            sentence.contains("for 3 measurements") && sentence.contains("step 2"),
            "{sentence}"
        );
        // Not measured, so not worse.
        let mut best = after(&[3.0, 2.0, 2.5], 2);
        best.remember(&json!({"step": 4, "loss": 1.0}));
        assert!(best.exhausted().is_none());
    }

    #[test]
    fn a_measurement_that_is_not_finite_is_never_the_best() {
        let best = after(&[f64::NAN, 3.0, f64::INFINITY], 9);
        assert_eq!(best.measured(), Some(Measured { step: 2, value: 3.0 }));
        let never = after(&[f64::NAN; 2], 2).exhausted().unwrap();
        assert!(never.contains("NaN or infinite in 2"), "{never}");
    }

    #[test]
    fn a_resumed_run_has_the_patience_that_it_had() {
        let losses = [3.0, 2.0, 2.5, 1.9, 2.0];
        for n_before in 0..losses.len() {
            let mut resumed = after(&losses[..n_before], 2);
            lines(&losses)[n_before..].iter().for_each(|line| resumed.remember(line));
            let whole = after(&losses, 2);
            assert_eq!((resumed.best, resumed.n_worse), (whole.best, whole.n_worse));
        }
    }

    #[test]
    fn a_checkpoint_is_kept_until_a_better_one_is_measured() {
        let mut best = after(&[3.0, 2.0], 9);
        let worth = |best: &Best| best.worth_keeping().map(|best| best.step).next();
        assert_eq!(worth(&best), Some(2));
        let metrics = |losses: &[f64]| {
            lines(losses).iter().map(|line| format!("{line}\n")).collect::<String>()
        };
        best.keep(2, &metrics(&[3.0, 2.0]));
        best.remember(&json!({"step": 3, "held_out": {"loss": 2.5}}));
        assert_eq!(worth(&best), None);
        // One of a step that was not measured is worse than any.
        best.keep(7, &metrics(&[3.0, 2.0]));
        assert_eq!(best.worth_keeping().map(|best| best.step).collect::<Vec<_>>(), [2, 3]);
    }
}
