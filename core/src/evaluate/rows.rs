//! Requests as rows of tokens, in which a common beginning of several texts stands once.
//!
//! The choices of a question have its text in common, and the questions of a few-shot task their
//! examples. Such texts form a tree of tokens; a row is the tree in depth-first order. In it a token
//! sees the tokens before it in its own text and no others ([`AttentionMask::branching`]), so that
//! what a model answers is what it would answer to each text alone, but for rounding.
//!
//! [`AttentionMask::branching`]: crate::model::AttentionMask::branching

use super::request::Request;
use crate::config::ModelConfig;

/// Texts that begin alike, as one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) tokens: Vec<u32>,
    /// Tokens before each one in its text.
    pub(super) depths: Vec<usize>,
    /// The requests that the row answers, with the place in the row of each scored prediction.
    pub(super) requests: Vec<(usize, Vec<usize>)>,
    /// Places of the tokens of the last text.
    path: Vec<usize>,
}

/// How requests are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Tokens of a batch at most, padding included, unless a single text has more.
    pub tokens_per_batch: usize,
    /// Whether a common beginning of several texts runs once.
    pub shares_beginnings: bool,
}

impl Batching {
    /// Batches of this size, in which texts share their beginnings where that pays.
    pub fn of(tokens_per_batch: usize) -> Self {
        Self { tokens_per_batch, shares_beginnings: true }
    }
}

/// When it pays to let texts share a row: a token costs something by itself, and something for each
/// other token of its row.
#[derive(Clone, Copy, Debug)]
struct Costs {
    /// Pairs of tokens in attention that cost as much as one token in all else.
    pairs_per_token: usize,
}

/// Tokens of a row of several texts at most: its mask has the square of that.
const LONGEST: usize = 4096;

/// Requests in rows, rows of like length in batches.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) batches: Vec<Vec<Row>>,
}

impl Rows {
    /// Rows for models of this config.
    pub(super) fn new(requests: &[Request], config: &ModelConfig, batching: Batching) -> Self {
        let tokens_per_batch = batching.tokens_per_batch;
        // A masked token is predicted from both sides: texts that begin alike share nothing.
        let shares = batching.shares_beginnings && !config.is_masked();
        let mut places: Vec<usize> = (0..requests.len()).collect();
        places.sort_by_key(|&place| requests[place].input());
        let costs = Costs::of(config);
        let longest = tokens_per_batch.min(LONGEST);
        let mut rows: Vec<Row> = Vec::new();
        for place in places {
            let request = &requests[place];
            let fits = |row: &&mut Row| {
                row.ends_with(request.input())
                    || (shares
                        && row.tokens.len() + request.input().len() <= longest
                        && costs.advise(row, request.input()))
            };
            match rows.last_mut().filter(fits) {
                Some(row) => row.add(place, request),
                None => {
                    let mut row = Row::default();
                    row.add(place, request);
                    rows.push(row);
                }
            }
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.tokens.len()));
        let mut batches: Vec<Vec<Row>> = Vec::new();
        for row in rows {
            match batches.last_mut() {
                // The first of a batch is its longest.
                Some(batch) if (batch.len() + 1) * batch[0].tokens.len() <= tokens_per_batch => {
                    batch.push(row);
                }
                _ => batches.push(vec![row]),
            }
        }
        Self { batches }
    }

    /// Tokens that are run, padding left out.
    pub(super) fn n_tokens(&self) -> usize {
        self.batches.iter().flatten().map(|row| row.tokens.len()).sum()
    }
}

impl Row {
    /// Whether this is the last of the row's texts.
    fn ends_with(&self, input: &[u32]) -> bool {
        self.path.len() == input.len() && self.shared_with(input) == input.len()
    }

    /// Tokens that a text has in common with the row's last one. Among sorted texts no other has
    /// more.
    fn shared_with(&self, input: &[u32]) -> usize {
        let own = self.path.iter().map(|&place| self.tokens[place]);
        own.zip(input).take_while(|(own, other)| own == *other).count()
    }

    fn add(&mut self, number: usize, request: &Request) {
        let input = request.input();
        let n_shared = self.shared_with(input);
        self.path.truncate(n_shared);
        for (depth, &token) in input.iter().enumerate().skip(n_shared) {
            self.path.push(self.tokens.len());
            self.tokens.push(token);
            self.depths.push(depth);
        }
        self.requests.push((number, self.path[request.positions()].to_vec()));
    }

    /// Whether the row is one text after all, each token seeing all before it.
    pub(super) fn is_single(&self) -> bool {
        self.depths.last().is_none_or(|&depth| depth + 1 == self.tokens.len())
    }

    /// The place behind the last continuation of each token.
    pub(super) fn ends(&self) -> Vec<usize> {
        let mut ends = vec![self.tokens.len(); self.tokens.len()];
        let mut open: Vec<usize> = Vec::new();
        for (place, &depth) in self.depths.iter().enumerate() {
            for closed in open.drain(depth..) {
                ends[closed] = place;
            }
            open.push(place);
        }
        ends
    }
}

impl Costs {
    fn of(config: &ModelConfig) -> Self {
        // Two multiplications a weight, against two products of a head's width for each pair;
        // masking and softmax make a pair about four times as dear on every device that was tried.
        const PAIR: usize = 4;
        let n_pair = PAIR * 2 * config.n_heads * config.d_head;
        let n_pairs = config.n_layer_params() / (n_pair as u64).max(1);
        Self { pairs_per_token: usize::try_from(n_pairs).unwrap_or(usize::MAX).max(1) }
    }

    fn of_row(self, n_tokens: usize) -> usize {
        n_tokens * (self.pairs_per_token + n_tokens)
    }

    /// Whether a text costs clearly less in the row than in one of its own.
    fn advise(self, row: &Row, input: &[u32]) -> bool {
        let n_new = input.len() - row.shared_with(input);
        let before = row.tokens.len();
        let more = self.of_row(before + n_new) - self.of_row(before);
        // A row of many branches needs a mask of its own: a small saving is none.
        10 * more < 9 * self.of_row(input.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(texts: &[&[u32]]) -> Row {
        let mut row = Row::default();
        for (number, tokens) in texts.iter().enumerate() {
            let request = Request::new(tokens.to_vec(), tokens.len() - 1..tokens.len()).unwrap();
            row.add(number, &request);
        }
        row
    }

    #[test]
    fn a_common_beginning_stands_once() {
        // The last token of a text is asked for, and not part of the input.
        let row = row(&[&[1, 2, 3, 0], &[1, 2, 4, 5, 0], &[1, 6, 0]]);
        assert_eq!(row.tokens, [1, 2, 3, 4, 5, 6]);
        assert_eq!(row.depths, [0, 1, 2, 2, 3, 1]);
        assert_eq!(row.ends(), [6, 5, 3, 5, 5, 6]);
        let places: Vec<&[usize]> = row.requests.iter().map(|(_, places)| &places[..]).collect();
        assert_eq!(places, [[2], [4], [5]]);
        assert!(!row.is_single());
    }

    #[test]
    fn texts_of_which_one_begins_the_other_are_one() {
        let row = row(&[&[1, 2, 9], &[1, 2, 3, 9], &[1, 2, 3, 8]]);
        assert_eq!(row.tokens, [1, 2, 3]);
        assert!(row.is_single());
    }

    proptest::proptest! {
        #[test]
        fn every_text_can_be_read_back_along_its_path(
            texts in proptest::collection::vec(proptest::collection::vec(0_u32..3, 2..9), 1..12),
        ) {
            let mut texts = texts;
            texts.sort();
            let all: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
            let row = row(&all);
            let ends = row.ends();
            for ((_, places), text) in row.requests.iter().zip(&texts) {
                // What the last place of a text sees is the text.
                let last = places[0];
                let seen: Vec<u32> = (0..=last)
                    .filter(|&key| last < ends[key])
                    .map(|key| row.tokens[key])
                    .collect();
                proptest::prop_assert_eq!(&seen[..], &text[..text.len() - 1]);
            }
        }
    }
}
