//! Recipe for distilling students of the embedded teacher: training data, learning rate and loss
//! weights.
//!
//! The demo and the page share it, so that a student distilled in the page is that of the demo.

use super::{Corpus, ItemKind, Row};
use crate::distill::loss::LossWeights;
use crate::distill::{self, Batch, DistillSettings, Layout, Schedule, UpdateSettings};

pub const LEARNING_RATE: f64 = 2e-3;
/// Larger than the paper's 2: models of this size need more alignment for teacher layers to be
/// interchangeable.
pub const ALIGNMENT: f64 = 20.0;
/// Tokens per optimizer step, padding included.
pub const TOKENS_PER_STEP: usize = 1024;

/// Disjoint from the teacher's training stream, which has a smaller seed.
const FIRST_SEED: u64 = 1000;

/// Weights of all three loss terms.
pub fn loss_weights() -> LossWeights {
    LossWeights { alignment: ALIGNMENT, ..LossWeights::default() }
}

/// Settings of a distillation run of `n_steps` optimizer steps.
pub fn settings(loss: LossWeights, learning_rate: f64, n_steps: usize) -> DistillSettings {
    DistillSettings {
        loss,
        update: UpdateSettings::new(Schedule::cosine(learning_rate, n_steps)),
        alignment: None,
    }
}

impl Corpus {
    /// The training data for a seed: an endless stream of batches, one per optimizer step.
    ///
    /// # Panics
    /// As [`Corpus::rows`].
    pub fn batches(&self, seed: u64, row_len: usize) -> impl Iterator<Item = Batch> {
        batches_of(self.rows(FIRST_SEED + seed, row_len), row_len)
    }

    /// As [`Corpus::batches`], of items of one kind: data of a second phase, or of post-training.
    ///
    /// # Panics
    /// As [`Corpus::rows`].
    pub fn batches_of(
        &self,
        kind: ItemKind,
        seed: u64,
        row_len: usize,
    ) -> impl Iterator<Item = Batch> {
        batches_of(self.rows_of(kind, FIRST_SEED + seed, row_len), row_len)
    }

    /// As [`Corpus::batches`], but the stream owns the corpus.
    ///
    /// # Panics
    /// As [`Corpus::rows`].
    pub fn into_batches(self, seed: u64, row_len: usize) -> impl Iterator<Item = Batch> {
        batches_of(self.into_rows(FIRST_SEED + seed, row_len), row_len)
    }
}

fn batches_of(rows: impl Iterator<Item = Row>, row_len: usize) -> impl Iterator<Item = Batch> {
    let mut rows = rows.map(distill::Row::from);
    let n_rows = (TOKENS_PER_STEP / row_len).max(1);
    std::iter::repeat_with(move || Batch::new(rows.by_ref().take(n_rows).collect(), Layout::Packed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_as_many_rows_as_its_tokens_fill() {
        let corpus = Corpus::new(1);
        let batches: Vec<Batch> = corpus.batches(3, 64).take(2).collect();
        assert!(batches.iter().all(|batch| (batch.n_rows(), batch.seq()) == (16, 64)));
        assert_ne!(batches[0], batches[1]);
        assert_eq!(corpus.into_batches(3, 64).take(2).collect::<Vec<_>>(), batches);
    }
}
