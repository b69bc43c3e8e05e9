//! Texts as they were tokenized beforehand: rows of any length from shards of tokens, read where they lie.
//!
//! A shard is three arrays: token ids, little-endian, of 2 or 4 bytes; the position after the last token
//! of each document, as 8 bytes; and, where some tokens are no labels, one bit for each token. The
//! documents follow one another, and any row is found by its number.

use super::{Layout, Row, RowError, RowSource};

/// The bytes of a shard's files.
pub struct Shard<Bytes> {
    /// For errors.
    pub name: String,
    pub tokens: Bytes,
    pub ends: Bytes,
    /// `None` when every token is a label.
    pub labels: Option<Bytes>,
}

/// Shards as rows.
pub struct PreparedRows<Bytes> {
    shards: Vec<Shard<Bytes>>,
    /// The number of the first row of each shard, and of all rows.
    starts: Vec<usize>,
    width: TokenWidth,
    shape: RowShape,
}

/// How many bytes a token id has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenWidth {
    Two,
    Four,
}

/// What rows are cut from documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowShape {
    pub seq: usize,
    pub layout: Layout,
    /// Ends every document in the shards.
    pub end_token: Option<u32>,
    /// Ids below this one are tokens.
    pub vocab: usize,
}

impl TokenWidth {
    /// The smallest that holds every id of a vocabulary.
    pub fn of(vocab: usize) -> Self {
        if vocab <= 1 << 16 { Self::Two } else { Self::Four }
    }

    pub fn n_bytes(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Appends an id.
    ///
    /// # Panics
    /// When it does not fit.
    pub fn write(self, id: u32, out: &mut Vec<u8>) {
        match self {
            Self::Two => {
                let id = u16::try_from(id).expect("the width was chosen by the vocabulary");
                out.extend(id.to_le_bytes());
            }
            Self::Four => out.extend(id.to_le_bytes()),
        }
    }
}

impl<Bytes: AsRef<[u8]>> PreparedRows<Bytes> {
    /// # Errors
    /// [`RowError`] where the arrays of a shard do not belong together.
    pub fn new(
        shards: Vec<Shard<Bytes>>,
        width: TokenWidth,
        shape: RowShape,
    ) -> Result<Self, RowError> {
        let mut starts = vec![0];
        for shard in &shards {
            let fault = |what: &str| Err(RowError(format!("{}: {what}", shard.name)));
            let n_tokens = shard.tokens.as_ref().len() / width.n_bytes();
            let n_documents = shard.n_documents();
            if !shard.tokens.as_ref().len().is_multiple_of(width.n_bytes()) {
                return fault("the tokens end within an id");
            }
            let last = n_documents.checked_sub(1).map_or(0, |last| shard.end(last));
            if !shard.ends.as_ref().len().is_multiple_of(8) || last != n_tokens as u64 {
                return fault("the ends of documents are those of other tokens");
            }
            if shard.labels.as_ref().is_some_and(|bits| bits.as_ref().len() != n_tokens.div_ceil(8))
            {
                return fault("the labels are those of other tokens");
            }
            let n_rows = match shape.layout {
                // A single token that is left over predicts nothing.
                Layout::Packed => n_tokens / shape.seq + usize::from(n_tokens % shape.seq > 1),
                Layout::Padded | Layout::BothWays => n_documents,
            };
            starts.push(starts[starts.len() - 1] + n_rows);
        }
        Ok(Self { shards, starts, width, shape })
    }

    fn token(&self, shard: &Shard<Bytes>, index: usize) -> Result<u32, RowError> {
        let (bytes, width) = (shard.tokens.as_ref(), self.width.n_bytes());
        let id = match (self.width, &bytes[index * width..(index + 1) * width]) {
            (TokenWidth::Two, &[a, b]) => u32::from(u16::from_le_bytes([a, b])),
            (_, &[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
            _ => unreachable!("a slice of the width"),
        };
        if id as usize >= self.shape.vocab {
            let Shard { name, .. } = shard;
            let message = format!(
                "{name}: token {index} is {id}, outside of the vocabulary (0 to {})",
                self.shape.vocab - 1
            );
            return Err(RowError(message));
        }
        Ok(id)
    }

    /// `seq` tokens from `start` on, of one document or of several.
    fn packed(&self, shard: &Shard<Bytes>, start: usize) -> Result<Row, RowError> {
        let RowShape { seq, end_token, .. } = self.shape;
        let n_tokens = shard.tokens.as_ref().len() / self.width.n_bytes();
        let end = (start + seq).min(n_tokens);
        let tokens: Vec<u32> =
            (start..end).map(|index| self.token(shard, index)).collect::<Result<_, _>>()?;
        let mut document = shard.document_of(start as u64);
        let (mut segment, mut segments) = (1, Vec::with_capacity(seq));
        for index in start..end {
            // A damaged shard has ends that do not ascend.
            while document < shard.n_documents() && shard.end(document) <= index as u64 {
                document += 1;
                segment += u32::from(index > start);
            }
            segments.push(segment);
        }
        let is_label = shard.labels(start..end);
        Ok(self.filled(tokens, segments, is_label, end_token.unwrap_or(0)))
    }

    /// A document, without the token that ends it.
    fn padded(&self, shard: &Shard<Bytes>, document: usize) -> Result<Row, RowError> {
        let RowShape { seq, end_token, .. } = self.shape;
        let start = document.checked_sub(1).map_or(0, |before| shard.end(before));
        let end = shard.end(document).saturating_sub(u64::from(end_token.is_some()));
        let n_tokens = shard.tokens.as_ref().len() / self.width.n_bytes();
        let [start, end] = [start, end.max(start)].map(|at| (at as usize).min(n_tokens));
        let end = end.min(start + seq);
        let tokens: Vec<u32> =
            (start..end).map(|index| self.token(shard, index)).collect::<Result<_, _>>()?;
        let segments = vec![1; tokens.len()];
        let is_label = shard.labels(start..end);
        Ok(self.filled(tokens, segments, is_label, end_token.unwrap_or(0)))
    }

    /// Padded to the whole length.
    fn filled(
        &self,
        mut tokens: Vec<u32>,
        mut segments: Vec<u32>,
        is_label: Option<Vec<bool>>,
        pad: u32,
    ) -> Row {
        let seq = self.shape.seq;
        tokens.resize(seq, pad);
        segments.resize(seq, 0);
        let is_label = is_label.map(|mut is_label| {
            is_label.resize(seq, false);
            is_label
        });
        Row { is_label, ..Row::new(tokens, segments) }
    }
}

impl<Bytes: AsRef<[u8]>> Shard<Bytes> {
    fn n_documents(&self) -> usize {
        self.ends.as_ref().len() / 8
    }

    /// The position after a document's last token.
    fn end(&self, document: usize) -> u64 {
        let bytes = self.ends.as_ref().as_chunks::<8>().0[document];
        u64::from_le_bytes(bytes)
    }

    /// The document that a token belongs to.
    fn document_of(&self, token: u64) -> usize {
        let (mut low, mut high) = (0, self.n_documents());
        while low < high {
            let middle = low.midpoint(high);
            if self.end(middle) <= token { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn labels(&self, tokens: std::ops::Range<usize>) -> Option<Vec<bool>> {
        let bits = self.labels.as_ref()?.as_ref();
        Some(tokens.map(|index| bits[index / 8] >> (index % 8) & 1 == 1).collect())
    }
}

impl<Bytes: AsRef<[u8]> + Send + Sync> RowSource for PreparedRows<Bytes> {
    fn n_rows(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    fn row(&self, index: usize) -> Result<Row, RowError> {
        assert!(index < self.n_rows(), "row {index} of {}", self.n_rows());
        let number = self.starts.partition_point(|&start| start <= index) - 1;
        let (shard, index) = (&self.shards[number], index - self.starts[number]);
        match self.shape.layout {
            Layout::Packed => self.packed(shard, index * self.shape.seq),
            Layout::Padded | Layout::BothWays => self.padded(shard, index),
        }
    }

    fn longest(&self) -> usize {
        self.shape.seq
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Packer;
    use super::*;

    const END: u32 = 99;

    /// Documents as shards of some documents each.
    fn shards(documents: &[Vec<u32>], per_shard: usize, labels: bool) -> Vec<Shard<Vec<u8>>> {
        let shard = |(number, documents): (usize, &[Vec<u32>])| {
            let (mut tokens, mut ends, mut n_tokens) = (Vec::new(), Vec::new(), 0_u64);
            for document in documents {
                for &token in document.iter().chain(&[END]) {
                    TokenWidth::Two.write(token, &mut tokens);
                    n_tokens += 1;
                }
                ends.extend(n_tokens.to_le_bytes());
            }
            // Even positions are labels.
            let labels = labels.then(|| vec![0b0101_0101; (n_tokens as usize).div_ceil(8)]);
            Shard { name: format!("shard {number}"), tokens, ends, labels }
        };
        documents.chunks(per_shard).enumerate().map(shard).collect()
    }

    fn shape(seq: usize, layout: Layout) -> RowShape {
        RowShape { seq, layout, end_token: Some(END), vocab: 100 }
    }

    fn rows(shards: Vec<Shard<Vec<u8>>>, shape: RowShape) -> Vec<Row> {
        let prepared = PreparedRows::new(shards, TokenWidth::Two, shape).unwrap();
        (0..prepared.n_rows()).map(|row| prepared.row(row).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn rows_are_those_of_documents_in_memory(
            documents in proptest::collection::vec(proptest::collection::vec(0_u32..99, 0..12), 1..9),
            seq in 2_usize..9,
        ) {
            let mut packer = Packer::new(seq, Some(END));
            documents.iter().for_each(|document| packer.add(document));
            let all = documents.len();
            let found = rows(shards(&documents, all, false), shape(seq, Layout::Packed));
            prop_assert_eq!(found, packer.into_rows());
            let expected: Vec<Row> =
                documents.iter().map(|document| Row::padded(document, seq, END)).collect();
            let found = rows(shards(&documents, 2, false), shape(seq, Layout::Padded));
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_damaged_shard_is_refused_or_read_without_a_panic(
            tokens in proptest::collection::vec(any::<u8>(), 0..40),
            ends in proptest::collection::vec(any::<u8>(), 0..40),
            seq in 2_usize..9,
        ) {
            for layout in [Layout::Packed, Layout::Padded] {
                let shard = Shard { name: "shard".into(), tokens: &tokens, ends: &ends, labels: None };
                let shape = shape(seq, layout);
                if let Ok(rows) = PreparedRows::new(vec![shard], TokenWidth::Two, shape) {
                    (0..rows.n_rows()).for_each(|row| {
                        let _ = rows.row(row);
                    });
                }
            }
        }
    }

    #[test]
    fn each_shard_begins_a_row() {
        let documents = [vec![1, 2, 3], vec![4]];
        let found = rows(shards(&documents, 1, false), shape(3, Layout::Packed));
        let tokens: Vec<&[u32]> = found.iter().map(|row| &*row.tokens).collect();
        assert_eq!(tokens, [&[1, 2, 3][..], &[4, END, END]]);
    }

    #[test]
    fn tokens_that_are_no_labels_stay_so() {
        let documents = [vec![1, 2, 3, 4]];
        let found = rows(shards(&documents, 1, true), shape(3, Layout::Packed));
        assert_eq!(found[0].is_label, Some(vec![true, false, true]));
        assert_eq!(found[1].is_label, Some(vec![false, true, false]));
    }

    #[test]
    fn what_does_not_belong_together_is_named() {
        let refusal = |change: &dyn Fn(&mut Shard<Vec<u8>>)| {
            let mut shard = shards(&[vec![1, 2, 3]], 1, true).remove(0);
            change(&mut shard);
            let rows = PreparedRows::new(vec![shard], TokenWidth::Two, shape(4, Layout::Packed));
            rows.and_then(|rows| rows.row(0)).unwrap_err().to_string()
        };
        assert!(refusal(&|shard| shard.tokens.truncate(7)).contains("shard 0: the tokens end"));
        assert!(refusal(&|shard| shard.tokens.truncate(4)).contains("the ends of documents"));
        assert!(refusal(&|shard| shard.labels = Some(Vec::new())).contains("the labels"));
        let outside = refusal(&|shard| shard.tokens[2] = 200);
        assert!(
            outside.contains("token 1 is 200, outside of the vocabulary (0 to 99)"),
            "{outside}"
        );
    }
}
