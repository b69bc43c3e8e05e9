//! Packs requests into rows of tokens in which shared prefixes occur once.
//!
//! The choices of a question share its text, and the questions of a few-shot task their examples.
//! Such texts form a tree of tokens; a row is the tree in depth-first order. A token attends only
//! to the previous tokens of its own text ([`AttentionMask::branching`]), so that the results equal
//! those of running each text individually, up to rounding.
//!
//! [`AttentionMask::branching`]: crate::model::AttentionMask::branching

use super::request::Request;
use crate::config::ModelConfig;

/// Texts with shared prefixes, as one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) tokens: Vec<u32>,
    /// Position of each token in its own text.
    pub(super) depths: Vec<usize>,
    /// The requests of the row, with the index in the row of each scored prediction.
    pub(super) requests: Vec<(usize, Vec<usize>)>,
    /// Indices in the row of the tokens of the last text.
    path: Vec<usize>,
}

/// How requests are batched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Maximum number of tokens per batch, padding included, unless a single text has more.
    pub tokens_per_batch: usize,
    /// Whether shared prefixes of texts are computed once.
    pub shares_beginnings: bool,
}

impl Batching {
    /// Batches of this size, in which texts share prefixes where that is cheaper.
    pub fn of(tokens_per_batch: usize) -> Self {
        Self { tokens_per_batch, shares_beginnings: true }
    }
}

/// Cost model for sharing a row: a token has a fixed cost, and attention costs for each other token
/// of the row.
#[derive(Clone, Copy, Debug)]
struct Costs {
    /// Number of attention pairs that cost as much as everything else for one token.
    pairs_per_token: usize,
}

/// Maximum length of a row of several texts; its mask is quadratic in it.
const LONGEST: usize = 4096;

/// Requests packed into rows, and rows of similar length into batches.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) batches: Vec<Vec<Row>>,
}

impl Rows {
    /// Packs requests for models with this config.
    pub(super) fn new(requests: &[Request], config: &ModelConfig, batching: Batching) -> Self {
        let tokens_per_batch = batching.tokens_per_batch;
        // Bidirectional attention depends on the whole text, so that no prefix can be shared.
        let shares = batching.shares_beginnings && !config.is_masked();
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|&index| requests[index].input());
        let costs = Costs::of(config);
        let longest = tokens_per_batch.min(LONGEST);
        let mut rows: Vec<Row> = Vec::new();
        for index in order {
            let request = &requests[index];
            let fits = |row: &&mut Row| {
                row.ends_with(request.input())
                    || (shares
                        && row.tokens.len() + request.input().len() <= longest
                        && costs.advise(row, request.input()))
            };
            match rows.last_mut().filter(fits) {
                Some(row) => row.add(index, request),
                None => {
                    let mut row = Row::default();
                    row.add(index, request);
                    rows.push(row);
                }
            }
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.tokens.len()));
        let mut batches: Vec<Vec<Row>> = Vec::new();
        for row in rows {
            match batches.last_mut() {
                // The first row of a batch is its longest.
                Some(batch) if (batch.len() + 1) * batch[0].tokens.len() <= tokens_per_batch => {
                    batch.push(row);
                }
                _ => batches.push(vec![row]),
            }
        }
        Self { batches }
    }

    /// Number of computed tokens, without padding.
    pub(super) fn n_tokens(&self) -> usize {
        self.batches.iter().flatten().map(|row| row.tokens.len()).sum()
    }
}

impl Row {
    /// Whether this is the row's last text.
    fn ends_with(&self, input: &[u32]) -> bool {
        self.path.len() == input.len() && self.shared_with(input) == input.len()
    }

    /// Length of the prefix that a text shares with the row's last text; among sorted texts no
    /// other text of the row shares more.
    fn shared_with(&self, input: &[u32]) -> usize {
        let own = self.path.iter().map(|&index| self.tokens[index]);
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

    /// Whether the row is a single text, with plain causal attention.
    pub(super) fn is_single(&self) -> bool {
        self.depths.last().is_none_or(|&depth| depth + 1 == self.tokens.len())
    }

    /// For each token the index after its last descendant.
    pub(super) fn ends(&self) -> Vec<usize> {
        let mut ends = vec![self.tokens.len(); self.tokens.len()];
        let mut open: Vec<usize> = Vec::new();
        for (index, &depth) in self.depths.iter().enumerate() {
            for closed in open.drain(depth..) {
                ends[closed] = index;
            }
            open.push(index);
        }
        ends
    }
}

impl Costs {
    fn of(config: &ModelConfig) -> Self {
        // One multiply-add per weight against two per head dimension and pair; masking and softmax
        // make a pair about four times as expensive on all tested devices.
        const PAIR: usize = 4;
        let n_pair = PAIR * 2 * config.n_heads * config.d_head;
        let n_pairs = config.n_layer_params() / (n_pair as u64).max(1);
        Self { pairs_per_token: usize::try_from(n_pairs).unwrap_or(usize::MAX).max(1) }
    }

    fn of_row(self, n_tokens: usize) -> usize {
        n_tokens * (self.pairs_per_token + n_tokens)
    }

    /// Whether a text is clearly cheaper in this row than in its own.
    fn advise(self, row: &Row, input: &[u32]) -> bool {
        let n_new = input.len() - row.shared_with(input);
        let before = row.tokens.len();
        let more = self.of_row(before + n_new) - self.of_row(before);
        // A branching row needs its own mask, so that a small saving does not pay off.
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
    fn a_shared_prefix_occurs_once() {
        // The last token of a text is only a target, not an input.
        let row = row(&[&[1, 2, 3, 0], &[1, 2, 4, 5, 0], &[1, 6, 0]]);
        assert_eq!(row.tokens, [1, 2, 3, 4, 5, 6]);
        assert_eq!(row.depths, [0, 1, 2, 2, 3, 1]);
        assert_eq!(row.ends(), [6, 5, 3, 5, 5, 6]);
        let scored: Vec<&[usize]> = row.requests.iter().map(|(_, scored)| &scored[..]).collect();
        assert_eq!(scored, [[2], [4], [5]]);
        assert!(!row.is_single());
    }

    #[test]
    fn a_text_and_its_prefix_share_one_path() {
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
            for ((_, scored), text) in row.requests.iter().zip(&texts) {
                // The last token of a text attends to exactly that text.
                let last = scored[0];
                let visible: Vec<u32> = (0..=last)
                    .filter(|&key| last < ends[key])
                    .map(|key| row.tokens[key])
                    .collect();
                proptest::prop_assert_eq!(&visible[..], &text[..text.len() - 1]);
            }
        }
    }
}
