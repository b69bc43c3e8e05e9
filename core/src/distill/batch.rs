//! Token sequences as the tensors of one forward pass.

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

#[cfg(feature = "distill")]
use super::loss::KlPositions;
use crate::config::ModelConfig;
use crate::model::AttentionMask;
#[cfg(feature = "distill")]
use crate::model::backward::HeadRow;

/// One row of a batch: tokens, and which of them belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub tokens: Vec<u32>,
    /// The document of each token, 0 for padding.
    pub segments: Vec<u32>,
    /// Whether each token may be a target: loss masks, such as labels of -100, turn it off. `None`
    /// when every token may.
    pub is_label: Option<Vec<bool>>,
}

/// Rows of equal length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    rows: Vec<Row>,
    layout: Layout,
    labels: Labels,
}

/// Which tokens are labels, the targets of the cross-entropy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// Every token that follows another of its document, end-of-text included.
    #[default]
    All,
    /// The reference implementation's: every token but this one, which ends texts and pads. In rows
    /// of one document the ids alone decide, whatever the attention mask says.
    Except(u32),
}

/// How documents lie in rows, which decides what attends to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Layout {
    /// Several documents to a row; they do not attend to each other.
    #[default]
    Packed,
    /// One document to a row, padded on the right: the reference implementation's.
    Padded,
    /// As [`Layout::Padded`], but a token sees those after it, too: masked language models.
    BothWays,
}

impl Layout {
    /// One document to a row, as the model reads it.
    pub fn of_single_texts(config: &ModelConfig) -> Self {
        if config.is_masked() { Self::BothWays } else { Self::Padded }
    }
}

/// A batch on a device.
#[derive(Clone, Debug)]
pub struct BatchTensors {
    /// `[batch, seq]`
    pub tokens: Tensor<2, Int>,
    pub mask: AttentionMask,
    /// The next token at each position, `[batch * seq]`; anything where there is none.
    pub targets: Tensor<1, Int>,
    /// 1 where the next token counts, else 0, `[batch * seq]`.
    pub has_target: Tensor<1>,
    /// 1 for a token, 0 for padding, `[batch * seq]`.
    pub is_token: Tensor<1>,
    pub n_targets: usize,
    pub n_tokens: usize,
}

impl Row {
    /// Tokens that may all be targets, and the document of each of them.
    pub fn new(tokens: Vec<u32>, segments: Vec<u32>) -> Self {
        Self { tokens, segments, is_label: None }
    }

    /// A single document, padded on the right with `pad` to `len`, or cut.
    pub fn padded(tokens: &[u32], len: usize, pad: u32) -> Self {
        let n_tokens = tokens.len().min(len);
        let mut row = Self::new(tokens[..n_tokens].to_vec(), vec![1; n_tokens]);
        row.tokens.resize(len, pad);
        row.segments.resize(len, 0);
        row
    }

    /// Whether the token after `position` is to be predicted from it.
    pub fn has_target(&self, position: usize) -> bool {
        let segment = self.segments[position];
        segment != 0
            && self.segments.get(position + 1) == Some(&segment)
            && self.may_be_target(position + 1)
    }

    /// Whether any of its tokens is to be predicted.
    pub fn has_any_target(&self) -> bool {
        (0..self.tokens.len()).any(|position| self.has_target(position))
    }

    /// Whether there is a token at `position` whose label is not turned off.
    fn may_be_target(&self, position: usize) -> bool {
        position < self.tokens.len()
            && self.is_label.as_ref().is_none_or(|is_label| is_label[position])
    }
}

impl Batch {
    /// Rows are padded on the right to the longest one.
    ///
    /// # Panics
    /// When a row has not as many segments or labels as tokens, or there is no token at all.
    pub fn new(rows: Vec<Row>, layout: Layout) -> Self {
        Self::labelled(rows, layout, Labels::All)
    }

    /// As [`Batch::new`], with the choice of labels.
    ///
    /// # Panics
    /// As [`Batch::new`].
    pub fn labelled(mut rows: Vec<Row>, layout: Layout, labels: Labels) -> Self {
        let seq = rows.iter().map(|row| row.tokens.len()).max().unwrap_or(0);
        assert!(seq > 0, "a batch needs at least one token");
        let pad = match labels {
            Labels::All => 0,
            Labels::Except(token) => token,
        };
        for row in &mut rows {
            let n_tokens = row.tokens.len();
            assert_eq!(n_tokens, row.segments.len(), "one segment for each token");
            row.tokens.resize(seq, pad);
            row.segments.resize(seq, 0);
            if let Some(is_label) = &mut row.is_label {
                assert_eq!(n_tokens, is_label.len(), "one label for each token");
                is_label.resize(seq, false);
            }
        }
        Self { rows, layout, labels }
    }

    /// Other rows of the same layout and as many positions.
    #[cfg(feature = "distill")]
    pub(super) fn with_rows(&self, rows: Vec<Row>) -> Self {
        Self { rows, ..*self }
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// Positions of a row, padding included.
    pub fn seq(&self) -> usize {
        self.rows[0].tokens.len()
    }

    /// Labels of all rows; the cross-entropy is their mean.
    pub fn n_labels(&self) -> usize {
        self.has_label().filter(|&has_label| has_label).count()
    }

    /// Whether the token after each position is a label, row by row.
    fn has_label(&self) -> impl Iterator<Item = bool> {
        let positions =
            self.rows.iter().flat_map(|row| (0..row.tokens.len()).map(move |at| (row, at)));
        positions.map(|(row, position)| match self.labels {
            Labels::All => row.has_target(position),
            Labels::Except(token) => {
                let follows = match self.layout {
                    Layout::Packed => row.has_target(position),
                    Layout::Padded | Layout::BothWays => row.may_be_target(position + 1),
                };
                follows && row.tokens[position + 1] != token
            }
        })
    }

    /// Tokens without padding.
    pub fn n_tokens(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.segments).filter(|&&segment| segment != 0).count()
    }

    /// Which positions hold a token rather than padding, row by row.
    #[cfg(feature = "distill")]
    pub(super) fn token_flags(&self) -> Vec<bool> {
        let segments = self.rows.iter().flat_map(|row| &row.segments);
        segments.map(|&segment| segment != 0).collect()
    }

    /// What the head's losses need of each position, row by row.
    #[cfg(feature = "distill")]
    pub(super) fn head_rows(&self, positions: KlPositions) -> Vec<HeadRow> {
        let tokens: Vec<u32> = self.rows.iter().flat_map(|row| row.tokens.clone()).collect();
        let is_token = self.token_flags();
        let row = |(index, has_label): (usize, bool)| HeadRow {
            // The label of a position is the next token of its row.
            label: has_label.then(|| tokens[index + 1]),
            counts: positions == KlPositions::All || is_token[index],
        };
        self.has_label().enumerate().map(row).collect()
    }

    pub fn to_device(&self, device: &Device) -> BatchTensors {
        let (batch, seq) = (self.n_rows(), self.seq());
        let rows = &self.rows;
        let ints = |values: Vec<i64>| -> Tensor<2, Int> {
            Tensor::from_data(TensorData::new(values, [batch, seq]), device)
        };
        let flags = |values: &[bool]| -> Tensor<1> {
            let values: Vec<f32> = values.iter().map(|&flag| f32::from(u8::from(flag))).collect();
            Tensor::from_data(TensorData::new(values, [batch * seq]), device)
        };
        let tokens: Vec<i64> =
            rows.iter().flat_map(|row| &row.tokens).map(|&token| i64::from(token)).collect();
        let segments: Vec<i64> =
            rows.iter().flat_map(|row| &row.segments).map(|&segment| i64::from(segment)).collect();
        let has_target: Vec<bool> = self.has_label().collect();
        let is_token: Vec<bool> = segments.iter().map(|&segment| segment != 0).collect();
        // The target of a position is the token one place on; the last one wraps and never counts.
        let targets: Vec<i64> =
            (0..batch * seq).map(|place| tokens[(place + 1) % (batch * seq)]).collect();

        let segments = ints(segments);
        let mask = match self.layout {
            Layout::Packed => AttentionMask::packed(segments),
            Layout::Padded => AttentionMask::padded(segments),
            Layout::BothWays => AttentionMask::both_ways(segments),
        };
        BatchTensors {
            tokens: ints(tokens),
            mask,
            targets: Tensor::from_data(TensorData::new(targets, [batch * seq]), device),
            has_target: flags(&has_target),
            is_token: flags(&is_token),
            n_targets: has_target.iter().filter(|&&flag| flag).count(),
            n_tokens: is_token.iter().filter(|&&flag| flag).count(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test may block")]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_of_a_document_is_nobodys_target() {
        let row = Row::new(vec![5, 6, 7, 8, 0], vec![1, 1, 2, 2, 0]);
        let targets: Vec<bool> = (0..5).map(|position| row.has_target(position)).collect();
        assert_eq!(targets, [true, false, true, false, false]);
    }

    fn labels(row: &Row, layout: Layout, labels: Labels) -> Vec<bool> {
        let batch = Batch::labelled(vec![row.clone()], layout, labels);
        let tensors = batch.to_device(&Device::flex());
        assert_eq!((tensors.n_targets, tensors.n_tokens), (batch.n_labels(), batch.n_tokens()));
        let flags = tensors.has_target.into_data();
        flags.iter::<f32>().map(|flag| flag == 1.0).collect()
    }

    /// `labels = ids.masked_fill(ids == pad_id, -100)`, each predicted one position before.
    #[test]
    fn the_reference_learns_every_token_but_its_padding_token() {
        let row = |tokens: &[u32], mask: &[u32]| Row::new(tokens.to_vec(), mask.to_vec());
        let cases = [
            (row(&[5, 0, 6, 7], &[1; 4]), [false, true, true, false]),
            // At the end, twice, and under a mask of 0, in the middle too.
            (row(&[5, 6, 0, 0], &[1; 4]), [true, false, false, false]),
            (row(&[5, 0, 6, 7], &[1, 0, 1, 1]), [false, true, true, false]),
            (row(&[5, 6, 0, 0], &[1, 1, 0, 0]), [true, false, false, false]),
            (row(&[5, 6, 7, 8], &[1, 1, 0, 1]), [true, true, true, false]),
            (row(&[0, 0, 0, 0], &[1; 4]), [false; 4]),
        ];
        for (row, expected) in cases {
            assert_eq!(labels(&row, Layout::Padded, Labels::Except(0)), expected, "{row:?}");
        }
        // By default the end of a text is learnt, and what the mask hides is not.
        let row = row(&[5, 0, 6, 7], &[1, 1, 0, 1]);
        assert_eq!(labels(&row, Layout::Padded, Labels::All), [true, false, false, false]);
    }

    #[test]
    fn labels_that_are_turned_off_stay_so_without_the_ends_of_texts() {
        let is_label = Some(vec![true, true, false, true]);
        let row = Row { is_label, ..Row::new(vec![5, 6, 7, 8], vec![1; 4]) };
        let found = labels(&row, Layout::Padded, Labels::Except(8));
        assert_eq!(found, [true, false, false, false]);
    }

    #[test]
    fn packed_documents_stay_apart_without_their_ends_as_labels() {
        let row = Row::new(vec![5, 6, 0, 7, 8], vec![1, 1, 1, 2, 2]);
        let found = labels(&row, Layout::Packed, Labels::Except(0));
        assert_eq!(found, [true, false, false, true, false]);
    }

    #[test]
    fn short_rows_are_padded_with_what_is_no_label() {
        let rows = vec![Row::padded(&[5, 6, 7], 3, 0), Row::padded(&[5], 1, 0)];
        let batch = Batch::labelled(rows, Layout::Padded, Labels::Except(9));
        assert_eq!(batch.rows()[1].tokens, [5, 9, 9]);
        assert_eq!(batch.n_labels(), 2);
    }

    #[test]
    fn padding_is_no_token() {
        let batch = Batch::new(vec![Row::padded(&[1, 2], 4, 9)], Layout::Padded);
        assert_eq!((batch.seq(), batch.n_tokens()), (4, 2));
    }
}
