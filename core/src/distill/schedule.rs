//! The learning rate at a step.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// Linear warm-up to a peak, then down to zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    pub peak: f64,
    pub warmup_steps: usize,
    pub total_steps: usize,
    pub decay: Decay,
}

/// The way down after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Half a cosine: the reference implementation's.
    Cosine,
    /// The peak is held, then the last share of the steps goes down in a straight line.
    LinearTail { share: f64 },
}

impl Schedule {
    /// Warm-up over 1 % of the steps, rounded up, then a cosine: the reference implementation's.
    pub fn cosine(peak: f64, total_steps: usize) -> Self {
        let warmup_steps = total_steps.div_ceil(100);
        Self { peak, warmup_steps, total_steps, decay: Decay::Cosine }
    }

    /// The learning rate of a step, counted from 0. The first step of a warm-up has rate 0.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.peak * step as f64 / self.warmup_steps as f64;
        }
        let remaining = self.total_steps.saturating_sub(step) as f64;
        match self.decay {
            Decay::Cosine => {
                let n_steps = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
                let progress = ((step - self.warmup_steps) as f64 / n_steps).min(1.0);
                self.peak * 0.5 * (1.0 + (PI * progress).cos())
            }
            Decay::LinearTail { share } => {
                let tail = (self.total_steps as f64 * share).max(1.0);
                self.peak * (remaining / tail).min(1.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_schedule_is_met_at_its_corners() {
        let schedule = Schedule::cosine(3e-4, 500);
        assert_eq!(schedule.at(0), 0.0);
        assert!((schedule.at(1) - 6e-5).abs() < 1e-12);
        assert!((schedule.at(5) - 3e-4).abs() < 1e-12);
        assert!((schedule.at(499) - 3.0e-9).abs() < 1e-10);
    }

    #[test]
    fn a_linear_tail_holds_the_peak_until_it_begins() {
        let schedule = Schedule {
            peak: 1.0,
            warmup_steps: 10,
            total_steps: 100,
            decay: Decay::LinearTail { share: 0.6 },
        };
        assert_eq!(schedule.at(40), 1.0);
        assert!((schedule.at(70) - 0.5).abs() < 1e-12);
        assert!(schedule.at(99) > 0.0);
    }
}
