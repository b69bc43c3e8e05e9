//! Whole items packed into rows of the same length, and their entropy, a lower bound on the loss.

use std::f64::consts::LN_2;
use std::iter;

use rand::Rng;

use super::{Corpus, Item, ItemKind, Stream};
use crate::distill;

/// A packed row: whole items, then padding.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub tokens: Vec<u32>,
    /// Segment id of each token: the number of its item in this row, from 1; 0 for padding.
    pub segments: Vec<u32>,
    /// Information content of all items in bits.
    pub bits: f64,
    /// Number of predicted tokens: all of each item except its `<s>`.
    pub n_predicted: usize,
}

impl From<Row> for distill::Row {
    fn from(row: Row) -> Self {
        Self::new(row.tokens, row.segments)
    }
}

/// Maximum number of tokens of an item; the minimum row length.
pub const LONGEST_ITEM: usize = 19;

/// Entropy of these rows in nats per predicted token: the loss of a perfect model.
///
/// A model's loss on the same rows minus this value is its excess loss. It can be negative for few
/// rows, or if the model was trained on them.
pub fn entropy_floor_of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> f64 {
    let (bits, n_predicted) =
        rows.into_iter().fold((0.0, 0), |(bits, n), row| (bits + row.bits, n + row.n_predicted));
    bits * LN_2 / n_predicted as f64
}

impl Corpus {
    /// An endless stream of training rows.
    ///
    /// # Panics
    /// If `row_len` is below [`LONGEST_ITEM`].
    pub fn rows(&self, seed: u64, row_len: usize) -> impl Iterator<Item = Row> {
        assert!(row_len >= LONGEST_ITEM, "a row of {row_len} tokens may not hold one item");
        let mut rng = Stream::Rows.rng(seed);
        iter::repeat_with(move || self.row(&mut rng, row_len, Self::item))
    }

    /// As [`Corpus::rows`], of items of one kind: what a teacher is post-trained on.
    ///
    /// # Panics
    /// As [`Corpus::rows`].
    pub fn rows_of(&self, kind: ItemKind, seed: u64, row_len: usize) -> impl Iterator<Item = Row> {
        assert!(row_len >= LONGEST_ITEM, "a row of {row_len} tokens may not hold one item");
        let mut rng = Stream::Rows.rng(seed);
        iter::repeat_with(move || {
            self.row(&mut rng, row_len, move |corpus, rng| corpus.item_of(kind, rng))
        })
    }

    /// As [`Corpus::rows`], but the stream owns the corpus.
    pub(super) fn into_rows(self, seed: u64, row_len: usize) -> impl Iterator<Item = Row> {
        assert!(row_len >= LONGEST_ITEM, "a row of {row_len} tokens may not hold one item");
        let mut rng = Stream::Rows.rng(seed);
        iter::repeat_with(move || self.row(&mut rng, row_len, Self::item))
    }

    /// Entropy of the corpus in nats per predicted token, a lower bound on the loss, estimated from
    /// about 100,000 items. It does not depend on the row length.
    ///
    /// [`entropy_floor_of`] gives the exact value for given rows, without sampling error.
    pub fn entropy_floor(&self) -> f64 {
        let rows: Vec<Row> = self.rows(0, 128).take(10_000).collect();
        entropy_floor_of(&rows)
    }

    fn row<R: Rng>(
        &self,
        rng: &mut R,
        row_len: usize,
        draw: impl Fn(&Self, &mut R) -> Item,
    ) -> Row {
        let mut row = Row { tokens: Vec::new(), segments: Vec::new(), bits: 0.0, n_predicted: 0 };
        // The row ends where an item might not fit, not where the next one does not. Otherwise
        // short items would be more frequent at the end of a row, and a model that uses the
        // position in the row could go below the entropy.
        for segment in 1.. {
            if row.tokens.len() + LONGEST_ITEM > row_len {
                break;
            }
            let item = draw(self, rng);
            row.segments.extend(iter::repeat_n(segment, item.tokens.len()));
            row.bits += item.bits;
            row.n_predicted += item.tokens.len() - 1;
            row.tokens.extend(item.tokens);
        }
        row.tokens.resize(row_len, PADDING_ID);
        row.segments.resize(row_len, 0);
        row
    }
}

const PADDING_ID: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_item_is_longer_than_the_longest() {
        let corpus = Corpus::new(1);
        let mut rng = Stream::Rows.rng(2);
        let lengths = ItemKind::ALL.into_iter().flat_map(|kind| {
            (0..1_000).map(|_| corpus.item_of(kind, &mut rng).tokens.len()).collect::<Vec<_>>()
        });
        assert_eq!(lengths.max(), Some(LONGEST_ITEM));
    }

    #[test]
    fn a_row_has_the_requested_length() {
        for row_len in [LONGEST_ITEM, 64, 128] {
            for row in Corpus::new(1).rows(3, row_len).take(50) {
                assert_eq!((row.tokens.len(), row.segments.len()), (row_len, row_len));
            }
        }
    }

    #[test]
    fn each_segment_of_a_row_is_one_whole_item() {
        let corpus = Corpus::new(1);
        for row in corpus.rows(3, 128).take(50) {
            let n_items = row.segments.iter().max().copied().expect("a row is not empty");
            for number in 1..=n_items {
                let tokens = row.segments.iter().zip(&row.tokens);
                let item = tokens.filter(|&(&segment, _)| segment == number);
                let text = corpus.text(&item.map(|(_, &token)| token).collect::<Vec<_>>());
                assert!(text.starts_with("<s> ") && text.ends_with(" ."), "{text}");
                assert_eq!(text.matches(['<', '.']).count(), 2, "{text}");
            }
        }
    }

    #[test]
    fn segments_are_in_order_and_padding_comes_last() {
        for row in Corpus::new(1).rows(3, 128).take(50) {
            let items: Vec<u32> = row.segments.iter().copied().take_while(|&s| s > 0).collect();
            assert!(items.is_sorted());
            assert!(row.segments[items.len()..].iter().all(|&segment| segment == 0));
            assert!(row.tokens[items.len()..].iter().all(|&token| token == PADDING_ID));
        }
    }

    #[test]
    fn all_of_an_item_but_its_start_is_predicted() {
        let corpus = Corpus::new(1);
        for row in corpus.rows(3, 128).take(50) {
            let n_starts = corpus.text(&row.tokens).matches("<s>").count();
            let n_in_items = row.segments.iter().filter(|&&segment| segment > 0).count();
            assert_eq!(row.n_predicted, n_in_items - n_starts);
        }
    }

    #[test]
    fn rows_of_a_kind_have_no_others() {
        let corpus = Corpus::new(1);
        for row in corpus.rows_of(ItemKind::Count, 3, 64).take(20) {
            let text = corpus.text(&row.tokens);
            let n_items = row.segments.iter().max().copied().unwrap_or(0) as usize;
            assert!(n_items > 0 && text.matches("<s> count ").count() == n_items, "{text}");
        }
    }

    #[test]
    fn a_row_has_the_bits_of_its_items() {
        let corpus = Corpus::new(1);
        let row = corpus.rows(3, 128).next().expect("rows are endless");
        let mut rng = Stream::Rows.rng(3);
        let n_items = row.segments.iter().max().copied().expect("a row is not empty");
        let bits: f64 = (0..n_items).map(|_| corpus.item(&mut rng).bits).sum();
        assert!((row.bits - bits).abs() < 1e-9);
    }

    #[test]
    fn a_seed_gives_the_same_rows_again_and_another_seed_others() {
        let corpus = Corpus::new(1);
        let rows = |seed| corpus.rows(seed, 128).take(10).collect::<Vec<_>>();
        assert_eq!(rows(3), rows(3));
        assert_ne!(rows(3), rows(4));
    }

    #[test]
    fn the_floor_does_not_depend_on_the_length_of_the_rows() {
        let corpus = Corpus::new(1);
        let floor = |row_len, n_rows| {
            entropy_floor_of(&corpus.rows(5, row_len).take(n_rows).collect::<Vec<_>>())
        };
        assert!((floor(32, 4_000) - floor(256, 500)).abs() < 0.01);
    }
}
