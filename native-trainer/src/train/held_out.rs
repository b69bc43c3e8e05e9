//! The loss on sequences that are not trained on.

use boomerang_core::distill::loss::{LossTerm, LossTerms};
use boomerang_core::distill::{Batch, Distiller, RowError, Rows, TeacherError};
use futures_lite::future::block_on;
use serde_json::{Value, json};

use super::interval::Interval;

/// Sequences that are held out, and when their loss is measured.
pub struct HeldOut {
    batches: Vec<Batch>,
    interval: Interval,
}

impl HeldOut {
    /// All of `rows`, in batches of `n_rows`; measured every `every` steps, and after the last.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn new(rows: &Rows, n_rows: usize, every: usize) -> Result<Self, RowError> {
        let starts = (0..rows.len()).step_by(n_rows.max(1));
        let batch = |start: usize| rows.batch(start, n_rows.max(1).min(rows.len() - start));
        Ok(Self {
            batches: starts.map(batch).collect::<Result<_, _>>()?,
            interval: Interval::new(every),
        })
    }

    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// Whether the loss is measured after so many of `n_total` steps.
    pub fn is_due(&self, n_steps: usize, n_total: usize) -> bool {
        self.interval.is_due(n_steps, n_total)
    }

    /// The mean loss of the student as it is.
    ///
    /// # Errors
    /// When the teacher cannot be read.
    pub fn measure(&self, distiller: &Distiller) -> Result<LossTerms, TeacherError> {
        block_on(distiller.measure_all(&self.batches))
    }
}

/// As a line of `metrics.jsonl` has it.
pub fn entry(terms: &LossTerms) -> Value {
    let mut entry = json!({ "loss": terms.total });
    for term in LossTerm::ALL {
        entry[term.key()] = json!(term.value(terms));
    }
    entry
}

#[cfg(test)]
mod tests {
    use boomerang_core::distill::{Layout, Row};

    use super::*;

    #[test]
    fn every_sequence_is_in_one_batch() {
        let rows = (0..5).map(|token| Row::new(vec![token; 3], vec![1; 3])).collect();
        let held_out = HeldOut::new(&Rows::new(rows, Layout::Packed), 2, 4).unwrap();
        let sizes: Vec<usize> = held_out.batches.iter().map(Batch::n_rows).collect();
        assert_eq!(sizes, [2, 2, 1]);
        let due: Vec<usize> = (1..=10).filter(|&step| held_out.is_due(step, 10)).collect();
        assert_eq!(due, [4, 8, 10]);
    }
}
