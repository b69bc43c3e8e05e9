//! Counts truncated contexts, for a single warning.

use std::cell::Cell;

/// Contexts that were truncated on the left to fit the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Number of truncated contexts.
    pub n_contexts: usize,
    /// Largest number of tokens removed from one of them.
    pub most_tokens: usize,
}

/// Counts truncations behind a shared reference.
#[derive(Clone, Debug, Default)]
pub(super) struct CutCount(Cell<Cuts>);

impl CutCount {
    /// Records that a context was truncated by `n_tokens`; 0 is not counted.
    pub(super) fn add(&self, n_tokens: usize) {
        if n_tokens > 0 {
            let Cuts { n_contexts, most_tokens } = self.0.get();
            let most_tokens = most_tokens.max(n_tokens);
            self.0.set(Cuts { n_contexts: n_contexts + 1, most_tokens });
        }
    }

    /// Returns the count so far and resets it.
    pub(super) fn take(&self) -> Cuts {
        self.0.take()
    }
}
