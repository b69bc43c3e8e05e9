//! Parts of a micro-batch, computed one after another: memory is that of a part, whatever the batch.

use super::batch::Batch;
use super::head::HeadRows;
use super::loss::LossWeights;

/// Some sequences of a micro-batch.
pub(super) struct Part {
    pub(super) batch: Batch,
    /// Which micro-batch they belong to.
    pub(super) micro_batch: usize,
    pub(super) counts: Counts,
}

/// What sums over tokens are divided by: the counts of the whole micro-batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Of the cross-entropy.
    pub(super) n_labels: usize,
    /// Positions of the KL divergence.
    pub(super) n_rows: usize,
    /// Tokens whose states are aligned.
    pub(super) n_tokens: usize,
}

impl Part {
    /// The parts of micro-batches, `n_sequences` or fewer in each.
    pub(super) fn all(batches: &[Batch], weights: &LossWeights, n_sequences: usize) -> Vec<Self> {
        let of_batch = |(micro_batch, batch): (usize, &Batch)| {
            let counts = Counts::of(batch, weights);
            let parts = batch.parts(n_sequences).into_iter();
            parts.map(move |batch| Self { batch, micro_batch, counts }).collect::<Vec<_>>()
        };
        batches.iter().enumerate().flat_map(of_batch).collect()
    }
}

impl Counts {
    fn of(batch: &Batch, weights: &LossWeights) -> Self {
        let HeadRows { n_labels, n_rows, .. } = HeadRows::of(batch, weights.kl_positions);
        Self { n_labels, n_rows, n_tokens: batch.n_tokens() }
    }
}

impl Batch {
    /// The same rows in batches of `n_sequences` or fewer, as long as they are here.
    fn parts(&self, n_sequences: usize) -> Vec<Self> {
        let rows = self.rows().chunks(n_sequences.max(1));
        rows.map(|rows| self.with_rows(rows.to_vec())).collect()
    }
}
