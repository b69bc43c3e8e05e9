//! What questions lose so that they fit the window, counted for a single warning.

use std::cell::Cell;

/// What questions have lost so that they fit the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Contexts that lost their beginning.
    pub n_contexts: usize,
    /// The most that one of them lost.
    pub most_tokens: usize,
}

/// Counts cuts where questions are only read.
#[derive(Clone, Debug, Default)]
pub(super) struct CutCount(Cell<Cuts>);

impl CutCount {
    /// A context has lost so many tokens; 0 is not a loss.
    pub(super) fn add(&self, n_tokens: usize) {
        if n_tokens > 0 {
            let Cuts { n_contexts, most_tokens } = self.0.get();
            let most_tokens = most_tokens.max(n_tokens);
            self.0.set(Cuts { n_contexts: n_contexts + 1, most_tokens });
        }
    }

    /// The count so far; the next begins at 0.
    pub(super) fn take(&self) -> Cuts {
        self.0.take()
    }
}
