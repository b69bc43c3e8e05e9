//! When a repeated measurement is steady, and what is then reported of it.

use crate::messages::DecodingSpeed;

/// Runs that are compared with each other, the last ones.
const WINDOW: usize = 5;
/// Highest minus lowest speed in the window, as a fraction of the median, that counts as steady.
const STEADY_SPREAD: f64 = 0.1;
/// Before, the runs may be steady because the program is not optimized yet.
const LEAST_MILLIS: f64 = 500.0;
const MOST_RUNS: usize = 100;
/// A slow member is not repeated until it is steady.
const MOST_MILLIS: f64 = 5000.0;
/// Even then: one run says nothing about the spread.
const LEAST_RUNS: usize = 3;

/// The speeds of one member, run by run.
///
/// A browser first interprets a program or compiles it quickly, and optimizes it while it runs, so the
/// first runs may be several times slower: the result is that of the last few.
#[derive(Debug, Default)]
pub(crate) struct RepeatedRuns {
    /// Tokens per second.
    speeds: Vec<f64>,
    millis: f64,
}

impl RepeatedRuns {
    /// Adds a run that decoded `n_tokens`.
    pub(crate) fn push(&mut self, n_tokens: u32, millis: f64) {
        // Browsers make the clock coarse; it may not have advanced.
        let millis = millis.max(0.01);
        self.speeds.push(f64::from(n_tokens) * 1000.0 / millis);
        self.millis += millis;
    }

    /// Whether no further run is needed.
    pub(crate) fn is_done(&self) -> bool {
        let n_runs = self.speeds.len();
        let is_long = n_runs >= LEAST_RUNS && self.millis >= MOST_MILLIS;
        let is_steady = || {
            let speed = self.result();
            n_runs >= WINDOW
                && self.millis >= LEAST_MILLIS
                && speed.is_some_and(|it| it.highest - it.lowest <= STEADY_SPREAD * it.median)
        };
        is_long || n_runs >= MOST_RUNS || is_steady()
    }

    /// Of the last runs; `None` before the first.
    pub(crate) fn result(&self) -> Option<DecodingSpeed> {
        let mut speeds = self.speeds[self.speeds.len().saturating_sub(WINDOW)..].to_vec();
        speeds.sort_by(f64::total_cmp);
        let (&lowest, &highest) = speeds.first().zip(speeds.last())?;
        let middle = speeds.len() / 2;
        let median = match speeds.len() % 2 {
            0 => f64::midpoint(speeds[middle - 1], speeds[middle]),
            _ => speeds[middle],
        };
        Some(DecodingSpeed { median, lowest, highest, n_runs: speeds.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of 32 tokens that take so long, until no further one is needed.
    fn repeated(millis: impl Fn(usize) -> f64) -> RepeatedRuns {
        let mut runs = RepeatedRuns::default();
        while !runs.is_done() {
            runs.push(32, millis(runs.speeds.len()));
        }
        runs
    }

    #[test]
    fn slow_first_runs_are_not_in_the_result() {
        let runs = repeated(|index| if index < 4 { 200.0 } else { 10.0 });
        assert_eq!(runs.speeds.len(), 9);
        let speed = DecodingSpeed { median: 3200.0, lowest: 3200.0, highest: 3200.0, n_runs: 5 };
        assert_eq!(runs.result(), Some(speed));
    }

    #[test]
    fn steady_runs_are_repeated_for_half_a_second() {
        let runs = repeated(|index| if index < 20 { 20.0 } else { 5.0 });
        assert_eq!(runs.result().unwrap().lowest, 6400.0);
    }

    #[test]
    fn runs_that_never_become_steady_end_and_show_their_spread() {
        let runs = repeated(|index| if index % 2 == 0 { 10.0 } else { 20.0 });
        assert_eq!(runs.speeds.len(), MOST_RUNS);
        let speed = runs.result().unwrap();
        assert_eq!((speed.lowest, speed.highest, speed.n_runs), (1600.0, 3200.0, 5));
    }

    #[test]
    fn a_slow_member_is_run_three_times() {
        let runs = repeated(|index| 8000.0 + 1000.0 * index as f64);
        assert_eq!(runs.result().unwrap().n_runs, 3);
        assert!((runs.result().unwrap().median - 32.0 / 9.0).abs() < 1e-12);
    }

    #[test]
    fn a_clock_that_does_not_advance_gives_a_finite_speed() {
        assert!(repeated(|_| 0.0).result().unwrap().highest.is_finite());
        assert_eq!(RepeatedRuns::default().result(), None);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        let mut runs = RepeatedRuns::default();
        runs.push(1, 1000.0);
        runs.push(3, 1000.0);
        assert_eq!(runs.result().unwrap().median, 2.0);
    }
}
