//! Steps that are left out: losses that are not finite, or far above those before.

use std::collections::VecDeque;

use boomerang_core::distill::StepReport;

/// When a step is left out, and when it is too often.
#[derive(Clone, Copy, Debug)]
pub struct GuardSettings {
    /// Steps in a row that may be left out.
    pub max_skipped: usize,
    /// Standard deviations above the mean of the last losses; `None`: losses may be of any size.
    pub spike: Option<f64>,
    /// Whether the run then goes back to its newest checkpoint.
    pub rolls_back: bool,
}

/// The losses so far.
pub struct Guard {
    settings: GuardSettings,
    recent: VecDeque<f64>,
    n_skipped: usize,
}

/// Losses that the next is compared with, and how many of them are needed.
const WINDOW: usize = 128;
const LEAST: usize = 16;

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Taken,
    Skipped,
    /// Skipped, as too many before it.
    TooMany,
}

impl Guard {
    pub fn new(settings: GuardSettings) -> Self {
        Self { settings, recent: VecDeque::new(), n_skipped: 0 }
    }

    /// As it was after the steps of these lines of `metrics.jsonl`, in a run that last went back to the
    /// step `returned_to`: those that were left out up to there do not count.
    pub fn after_lines(settings: GuardSettings, metrics: &str, returned_to: usize) -> Self {
        let mut guard = Self::new(settings);
        for line in metrics.lines() {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let loss = line["loss"].as_f64().unwrap_or(f64::NAN);
            guard.remember(loss, line["skipped"] != true);
            if line["step"].as_u64() == Some(returned_to as u64) {
                guard.n_skipped = 0;
            }
        }
        guard
    }

    fn remember(&mut self, loss: f64, is_taken: bool) {
        if !is_taken {
            self.n_skipped += 1;
            return;
        }
        self.n_skipped = 0;
        self.recent.push_back(loss);
        if self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
    }

    /// Whether a finite loss is near those before it.
    pub fn accepts(&self, report: &StepReport) -> bool {
        let Some(most) = self.settings.spike.filter(|_| self.recent.len() >= LEAST) else {
            return true;
        };
        let n = self.recent.len() as f64;
        let mean = self.recent.iter().sum::<f64>() / n;
        let variance = self.recent.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / n;
        report.terms.total <= mean + most * variance.sqrt()
    }

    /// Remembers a step.
    pub fn after(&mut self, report: &StepReport) -> Verdict {
        self.remember(report.terms.total, report.is_taken);
        if report.is_taken {
            return Verdict::Taken;
        }
        if self.n_skipped > self.settings.max_skipped { Verdict::TooMany } else { Verdict::Skipped }
    }
}

#[cfg(test)]
mod tests {
    use boomerang_core::distill::LossTerms;

    use super::*;

    fn report(loss: f64, is_taken: bool) -> StepReport {
        StepReport {
            terms: LossTerms { total: loss, ..LossTerms::default() },
            micro_batches: Vec::new(),
            grad_norm: 1.0,
            learning_rate: 1.0,
            n_tokens: 1,
            is_taken,
        }
    }

    #[test]
    fn a_loss_far_above_those_before_it_is_a_spike() {
        let mut guard =
            Guard::new(GuardSettings { max_skipped: 3, spike: Some(6.0), rolls_back: false });
        for step in 0..LEAST {
            assert!(guard.accepts(&report(1000.0, true)), "too few to tell");
            guard.after(&report(2.0 + 0.1 * (step % 2) as f64, true));
        }
        assert!(guard.accepts(&report(2.3, true)) && guard.accepts(&report(-5.0, true)));
        assert!(!guard.accepts(&report(2.4, true)));
        let never = Guard::new(GuardSettings { max_skipped: 3, spike: None, rolls_back: false });
        assert!(never.accepts(&report(1e30, true)));
    }

    #[test]
    fn a_run_is_resumed_with_what_it_has_seen() {
        let settings = GuardSettings { max_skipped: 3, spike: Some(6.0), rolls_back: false };
        let mut whole = Guard::new(settings);
        let mut lines = String::new();
        for step in 0..200 {
            let is_taken = step % 7 != 6;
            let loss = 2.0 + 0.01 * (step % 5) as f64;
            whole.after(&report(loss, is_taken));
            let skipped = if is_taken { "" } else { ", \"skipped\": true" };
            lines.push_str(&format!("{{\"loss\": {loss}{skipped}}}\n"));
        }
        let resumed = Guard::after_lines(settings, &lines, 0);
        assert_eq!((resumed.recent, resumed.n_skipped), (whole.recent, whole.n_skipped));
    }

    #[test]
    fn too_many_steps_in_a_row_end_the_run() {
        let mut guard =
            Guard::new(GuardSettings { max_skipped: 2, spike: None, rolls_back: false });
        let skipped = report(f64::NAN, false);
        assert_eq!([guard.after(&skipped), guard.after(&skipped)], [Verdict::Skipped; 2]);
        assert_eq!(guard.after(&report(1.0, true)), Verdict::Taken);
        let last = [0; 3].map(|_| guard.after(&skipped));
        assert_eq!(last, [Verdict::Skipped, Verdict::Skipped, Verdict::TooMany]);
    }

    #[test]
    fn steps_that_were_left_out_before_a_return_do_not_count() {
        let settings = GuardSettings { max_skipped: 2, spike: None, rolls_back: true };
        let lines: String =
            (1..=4).map(|step| format!("{{\"step\": {step}, \"skipped\": true}}\n")).collect();
        assert_eq!(Guard::after_lines(settings, &lines, 0).n_skipped, 4);
        assert_eq!(Guard::after_lines(settings, &lines, 3).n_skipped, 1);
    }
}
