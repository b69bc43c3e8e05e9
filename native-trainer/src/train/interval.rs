//! When something is measured that is not measured after every step.

/// Every so many steps, and after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval(usize);

impl Interval {
    pub(super) fn new(every: usize) -> Self {
        Self(every.max(1))
    }

    /// Whether it is due after so many of `n_total` steps.
    pub(super) fn is_due(self, n_steps: usize, n_total: usize) -> bool {
        n_steps.is_multiple_of(self.0) || n_steps == n_total
    }
}
