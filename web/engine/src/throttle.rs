//! How often the page is told how far something has come.

use std::cell::Cell;

/// Bytes arrive in far more pieces than anybody can see; a message for each would only be work.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When the page was told last, in milliseconds.
    told: Cell<Option<f64>>,
}

/// Between two messages: about twenty a second.
const EVERY_MILLIS: f64 = 50.0;

impl Pace {
    /// Whether to tell the page now; the end is always told.
    pub(crate) fn is_due(&self, now_millis: f64, is_end: bool) -> bool {
        let waited = self.told.get().map(|told| now_millis - told);
        let is_due = is_end || waited.is_none_or(|waited| waited >= EVERY_MILLIS);
        if is_due {
            self.told.set(Some(now_millis));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_told_twenty_times_a_second_and_at_the_end() {
        let pace = Pace::default();
        // Ten seconds with a piece every millisecond.
        let due = (0..10_000).filter(|&millis| pace.is_due(f64::from(millis), false));
        assert_eq!(due.count(), 200);
        assert!(pace.is_due(10_000.0, false));
        assert!(!pace.is_due(10_001.0, false));
        assert!(pace.is_due(10_001.0, true));
    }
}
