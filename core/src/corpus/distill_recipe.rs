//! How students of the embedded teacher are taught: on which lines, how fast, and with which weights.
//!
//! The demo and the page take these, so that a student taught in the page is the demo's.

use super::{Corpus, Row};
use crate::distill::loss::LossWeights;
use crate::distill::{self, Batch, DistillSettings, Layout, Schedule, UpdateSettings};

pub const LEARNING_RATE: f64 = 2e-3;
/// More than the paper's 2: at this size alignment is what makes teacher layers fit.
pub const ALIGNMENT: f64 = 20.0;
/// Places for tokens; some of them are padding.
pub const TOKENS_PER_STEP: usize = 1024;

/// Other lines than the teacher's own, whose stream has a smaller seed.
const FIRST_SEED: u64 = 1000;

/// All three terms of the loss.
pub fn loss_weights() -> LossWeights {
    LossWeights { alignment: ALIGNMENT, ..LossWeights::default() }
}

/// A course of `n_steps` steps.
pub fn settings(loss: LossWeights, learning_rate: f64, n_steps: usize) -> DistillSettings {
    DistillSettings {
        loss,
        update: UpdateSettings::new(Schedule::cosine(learning_rate, n_steps)),
        alignment: None,
    }
}

impl Corpus {
    /// The lines that the student of a seed reads: an endless stream of batches, one for each step.
    ///
    /// # Panics
    /// As [`Corpus::rows`].
    pub fn batches(&self, seed: u64, row_len: usize) -> impl Iterator<Item = Batch> {
        batches_of(self.rows(FIRST_SEED + seed, row_len), row_len)
    }

    /// The same with the corpus inside, for streams that outlive their maker.
    ///
    /// # Panics
    /// As [`Corpus::rows`].
    pub fn into_batches(self, seed: u64, row_len: usize) -> impl Iterator<Item = Batch> {
        batches_of(self.into_rows(FIRST_SEED + seed, row_len), row_len)
    }
}

fn batches_of(rows: impl Iterator<Item = Row>, row_len: usize) -> impl Iterator<Item = Batch> {
    let mut rows = rows.map(|row| distill::Row::new(row.tokens, row.segments));
    let n_rows = (TOKENS_PER_STEP / row_len).max(1);
    std::iter::repeat_with(move || Batch::new(rows.by_ref().take(n_rows).collect(), Layout::Packed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_as_many_rows_as_its_tokens_fill() {
        let corpus = Corpus::new(1);
        let batches: Vec<Batch> = corpus.batches(3, 64).take(2).collect();
        assert!(batches.iter().all(|batch| (batch.n_rows(), batch.seq()) == (16, 64)));
        assert_ne!(batches[0], batches[1]);
        assert_eq!(corpus.into_batches(3, 64).take(2).collect::<Vec<_>>(), batches);
    }
}
