//! Recipe for pretraining a small teacher on the corpus: learning rates and training data.
//!
//! `boomerang pretrain` and the experiments that need other teachers share it.

use super::Corpus;
use crate::distill::{self, Batch, Decay, DecayRule, Layout, Schedule, UpdateSettings};

/// Optimizer settings of a run of `n_steps`, whose learning rate decays to 0 over the fraction `tail` of
/// them, at the end.
pub fn settings(learning_rate: f64, tail: f64, n_steps: usize) -> UpdateSettings {
    let schedule = Schedule {
        peak: learning_rate,
        warmup_steps: 50.min(n_steps / 10),
        total_steps: n_steps,
        decay: Decay::LinearTail { share: tail },
    };
    UpdateSettings { decay_rule: DecayRule::Matrices, ..UpdateSettings::new(schedule) }
}

impl Corpus {
    /// The training data of a teacher: an endless stream of batches of `n_rows`, one per optimizer step.
    ///
    /// # Panics
    /// As [`Corpus::rows`].
    pub fn pretraining_batches(
        &self,
        seed: u64,
        row_len: usize,
        n_rows: usize,
    ) -> impl Iterator<Item = Batch> {
        let mut rows = self.rows(seed, row_len).map(distill::Row::from);
        std::iter::repeat_with(move || {
            Batch::new(rows.by_ref().take(n_rows).collect(), Layout::Packed)
        })
    }
}
