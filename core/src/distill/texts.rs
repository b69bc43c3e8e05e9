//! Texts as rows to learn from: cut to one length, and some of them held out.

use thiserror::Error;

use super::{Batch, Layout, Row, Rows};
use crate::documents::labelled;

/// Fills rows of one length with documents, end to end.
#[derive(Clone, Debug)]
pub struct Packer {
    seq: usize,
    end_token: Option<u32>,
    rows: Vec<Row>,
    open: Row,
}

/// The rows of some texts. A tenth of them is held out, spread over all, but no more than a step reads.
///
/// Invariant: there are rows of both kinds.
#[derive(Clone, Debug)]
pub struct TextRows {
    learnt: Rows,
    held_out: Rows,
    n_rows_per_step: usize,
}

/// Texts from which nothing is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the texts have {found} tokens; at least {needed} are needed, as many as a step reads")]
pub struct TooShort {
    pub found: usize,
    pub needed: usize,
}

const IN_MEMORY: &str = "rows in memory can be read";

/// Of how many rows one is held out.
const ONE_OF: usize = 10;

impl Packer {
    /// `end_token` ends each document, so that the end of a text is learnt.
    pub fn new(seq: usize, end_token: Option<u32>) -> Self {
        Self { seq, end_token, rows: Vec::new(), open: empty() }
    }

    pub fn add(&mut self, document: &[u32]) {
        self.add_marked(document, None);
    }

    /// Adds a document of which only some tokens are labels.
    pub fn add_marked(&mut self, document: &[u32], is_label: Option<&[bool]>) {
        let mut segment = self.open.segments.last().map_or(1, |last| last + 1);
        for (token, is_label) in labelled(document, is_label, self.end_token) {
            if self.open.tokens.len() == self.seq {
                self.rows.push(std::mem::replace(&mut self.open, empty()));
                segment = 1;
            }
            if !is_label || self.open.is_label.is_some() {
                let n_tokens = self.open.tokens.len();
                let flags = self.open.is_label.get_or_insert_with(|| vec![true; n_tokens]);
                flags.push(is_label);
            }
            self.open.tokens.push(token);
            self.open.segments.push(segment);
        }
    }

    /// A row as it is, beside those that are filled.
    pub fn add_row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// All rows, the last one padded; a single token that is left over predicts nothing.
    pub fn into_rows(mut self) -> Vec<Row> {
        if self.open.tokens.len() > 1 {
            self.open.tokens.resize(self.seq, self.end_token.unwrap_or(0));
            self.open.segments.resize(self.seq, 0);
            if let Some(flags) = &mut self.open.is_label {
                flags.resize(self.seq, false);
            }
            self.rows.push(self.open);
        }
        self.rows
    }
}

fn empty() -> Row {
    Row::new(Vec::new(), Vec::new())
}

impl TextRows {
    /// Rows of `seq` tokens, for steps that read `tokens_per_step`, but two rows at least.
    ///
    /// # Errors
    /// [`TooShort`] where the documents do not fill a step.
    pub fn new(
        documents: &[Vec<u32>],
        seq: usize,
        end_token: Option<u32>,
        tokens_per_step: usize,
    ) -> Result<Self, TooShort> {
        let n_rows_per_step = (tokens_per_step / seq.max(1)).max(2);
        let found = documents.iter().map(Vec::len).sum();
        let needed = n_rows_per_step * seq.max(2);
        if found < needed {
            return Err(TooShort { found, needed });
        }
        let mut packer = Packer::new(seq, end_token);
        documents.iter().for_each(|document| packer.add(document));
        let rows = packer.into_rows();
        let every = rows.len().div_ceil(n_rows_per_step).max(ONE_OF.min(rows.len()));
        let (learnt, held_out) = Rows::new(rows, Layout::Packed).hold_out(every);
        Ok(Self { learnt, held_out, n_rows_per_step })
    }

    pub fn held_out(&self) -> Batch {
        self.held_out.batch(0, self.held_out.len()).expect(IN_MEMORY)
    }

    /// Without padding.
    pub fn n_held_out(&self) -> usize {
        self.held_out().n_tokens()
    }

    /// A batch for each step, without end: all rows in an order that the seed decides, then again.
    pub fn into_lessons(self, seed: u64) -> impl Iterator<Item = Batch> {
        let Self { learnt, n_rows_per_step, .. } = self;
        let rows = learnt.shuffled(seed);
        (0..)
            .step_by(n_rows_per_step)
            .map(move |start| rows.batch(start, n_rows_per_step).expect(IN_MEMORY))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn documents_fill_rows_end_to_end() {
        let mut packer = Packer::new(4, Some(9));
        packer.add(&[1, 2]);
        packer.add(&[3, 4, 5]);
        let rows = packer.into_rows();
        assert_eq!(rows[0].tokens, [1, 2, 9, 3]);
        assert_eq!(rows[0].segments, [1, 1, 1, 2]);
        assert_eq!(rows[1].tokens, [4, 5, 9, 9]);
        assert_eq!(rows[1].segments, [1, 1, 1, 0]);
    }

    #[test]
    fn tokens_that_are_no_labels_stay_so() {
        let mut packer = Packer::new(4, Some(9));
        packer.add(&[1, 2]);
        packer.add_marked(&[3, 4], Some(&[false, true]));
        packer.add_marked(&[5], Some(&[false]));
        let rows = packer.into_rows();
        assert_eq!(rows[0].tokens, [1, 2, 9, 3]);
        assert_eq!(rows[0].is_label, Some(vec![true, true, true, false]));
        assert_eq!(rows[1].tokens, [4, 9, 5, 9]);
        assert_eq!(rows[1].is_label, Some(vec![true, true, false, false]));
    }

    /// Different tokens, in rows of 4, 8 to a step.
    fn rows(n_tokens: u32) -> Result<TextRows, TooShort> {
        TextRows::new(&[(0..n_tokens).collect()], 4, None, 32)
    }

    fn tokens(batch: &Batch) -> BTreeSet<u32> {
        batch.rows().iter().flat_map(|row| row.tokens.clone()).collect()
    }

    #[test]
    fn nothing_that_is_held_out_is_learnt_and_all_else_is() {
        for n_tokens in [32, 44, 400, 4000] {
            let rows = rows(n_tokens).unwrap();
            let held_out = tokens(&rows.held_out());
            assert!((1..=8).contains(&rows.held_out().n_rows()), "of {n_tokens}");
            assert_eq!(rows.n_held_out(), held_out.len());
            let n_steps = n_tokens as usize / 32 + 1;
            let learnt: BTreeSet<u32> =
                rows.into_lessons(3).take(n_steps).flat_map(|batch| tokens(&batch)).collect();
            assert!(learnt.is_disjoint(&held_out), "of {n_tokens}");
            assert_eq!(learnt.len() + held_out.len(), n_tokens as usize);
        }
    }

    #[test]
    fn the_seed_decides_the_order() {
        let first = |seed| rows(400).unwrap().into_lessons(seed).next().unwrap();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }

    #[test]
    fn a_text_that_fills_no_step_is_refused_with_both_numbers() {
        assert_eq!(rows(31).err(), Some(TooShort { found: 31, needed: 32 }));
        assert_eq!(rows(0).err(), Some(TooShort { found: 0, needed: 32 }));
    }
}
