//! Pseudo-perplexity of masked language models: each token is masked in turn.

use super::request::Request;

/// A text to be scored by a masked language model, as tokens.
///
/// Its score is the pseudo-log-likelihood (arXiv:1910.14659), the sum over the text's own tokens of
/// their log-probability given all others; `exp` of its negative mean is the pseudo-perplexity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedText {
    /// With the special tokens that the model expects around a text.
    pub tokens: Vec<u32>,
    /// Which of them are special; these are never masked.
    pub is_special: Vec<bool>,
    /// Length of the text in bytes, for bits per byte.
    pub n_bytes: usize,
}

impl MaskedText {
    /// One request per token that is not special; the text is truncated to `max_seq` tokens.
    pub(super) fn requests(&self, mask: u32, max_seq: usize) -> Vec<Request> {
        let tokens = &self.tokens[..self.tokens.len().min(max_seq)];
        (0..tokens.len())
            .filter(|&position| !self.is_special.get(position).copied().unwrap_or(false))
            .map(|position| Request::masked(tokens.to_vec(), position, mask))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_of_the_text_is_masked_once_and_no_special_one() {
        let text = MaskedText {
            tokens: vec![101, 7, 8, 9, 102],
            is_special: vec![true, false, false, false, true],
            n_bytes: 3,
        };
        let requests = text.requests(103, 512);
        let inputs: Vec<&[u32]> = requests.iter().map(Request::input).collect();
        assert_eq!(inputs, [[101, 103, 8, 9, 102], [101, 7, 103, 9, 102], [101, 7, 8, 103, 102]]);
        let targets: Vec<&[u32]> = requests.iter().map(Request::targets).collect();
        assert_eq!(targets, [[7], [8], [9]]);
        assert_eq!(requests[1].positions(), 2..3);
    }
}
