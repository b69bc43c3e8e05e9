//! How often progress is reported to the page.

use std::cell::Cell;

/// Limits progress messages: there are far more chunks than can be seen.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// When progress was last reported, in milliseconds.
    reported: Cell<Option<f64>>,
}

/// Between two messages: about twenty per second.
const EVERY_MILLIS: f64 = 50.0;

impl Throttle {
    /// Whether to report progress now; the end is always reported.
    pub(crate) fn is_due(&self, now_millis: f64, is_end: bool) -> bool {
        let waited = self.reported.get().map(|reported| now_millis - reported);
        let is_due = is_end || waited.is_none_or(|waited| waited >= EVERY_MILLIS);
        if is_due {
            self.reported.set(Some(now_millis));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_reported_twenty_times_a_second_and_at_the_end() {
        let throttle = Throttle::default();
        // Ten seconds with a piece every millisecond.
        let due = (0..10_000).filter(|&millis| throttle.is_due(f64::from(millis), false));
        assert_eq!(due.count(), 200);
        assert!(throttle.is_due(10_000.0, false));
        assert!(!throttle.is_due(10_001.0, false));
        assert!(throttle.is_due(10_001.0, true));
    }
}
