//! The rows that training reads: in order or shuffled, all of them or without some that are held out.
//! The command line and the page read theirs here.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Batch, Labels, Layout, Row};

/// Rows in the order in which training reads them; after the last comes the first again.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    rows: Vec<Row>,
    layout: Layout,
    labels: Labels,
}

impl Rows {
    pub fn new(rows: Vec<Row>, layout: Layout) -> Self {
        Self { rows, layout, labels: Labels::All }
    }

    /// The same rows with another choice of labels.
    #[must_use]
    pub fn labelled(self, labels: Labels) -> Self {
        Self { labels, ..self }
    }

    /// The rows that have a target, which are those that a comparison of predictions can use.
    #[must_use]
    pub fn with_targets(mut self) -> Self {
        self.rows.retain(Row::has_any_target);
        self
    }

    /// The same rows in an order that the seed decides.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Self {
        self.rows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        self
    }

    /// Splits off every `every`-th row: those to train on, and those that are held out.
    ///
    /// # Panics
    /// When `every` is 0.
    pub fn hold_out(self, every: usize) -> (Self, Self) {
        let Self { rows, layout, labels } = self;
        let (mut trained, mut held_out) = (Vec::new(), Vec::new());
        for (index, row) in rows.into_iter().enumerate() {
            if (index + 1) % every == 0 { held_out.push(row) } else { trained.push(row) }
        }
        let rows = |rows| Self { rows, layout, labels };
        (rows(trained), rows(held_out))
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Tokens of the longest row, padding included.
    pub fn longest(&self) -> usize {
        self.rows.iter().map(|row| row.tokens.len()).max().unwrap_or(0)
    }

    /// `n_rows` rows from index `start` on, starting over after the last.
    ///
    /// # Panics
    /// When there are no rows.
    pub fn batch(&self, start: usize, n_rows: usize) -> Batch {
        let rows = (start..start + n_rows).map(|index| self.rows[index % self.rows.len()].clone());
        Batch::labelled(rows.collect(), self.layout, self.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n_rows: u32) -> Rows {
        let row = |token| Row::new(vec![token, token], vec![1, 1]);
        Rows::new((0..n_rows).map(row).collect(), Layout::Packed)
    }

    fn firsts(rows: &Rows) -> Vec<u32> {
        rows.rows().iter().map(|row| row.tokens[0]).collect()
    }

    #[test]
    fn after_the_last_row_comes_the_first() {
        let batch = rows(3).batch(2, 2);
        let tokens: Vec<u32> = batch.rows().iter().map(|row| row.tokens[0]).collect();
        assert_eq!(tokens, [2, 0]);
    }

    #[test]
    fn a_row_is_trained_on_or_held_out() {
        let (trained, held_out) = rows(7).hold_out(3);
        assert_eq!((firsts(&trained), firsts(&held_out)), (vec![0, 1, 3, 4, 6], vec![2, 5]));
    }

    #[test]
    fn the_seed_decides_the_order() {
        let shuffled = |seed| firsts(&rows(50).shuffled(seed));
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(1);
        sorted.sort_unstable();
        assert_eq!(sorted, firsts(&rows(50)));
    }
}
