//! What a model is asked: how likely are these tokens, given those before them?

use std::ops::Range;

/// A token sequence of which some tokens are scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    tokens: Vec<u32>,
    scored: Range<usize>,
}

/// The model's answer.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Likelihood {
    /// Of the scored tokens together, in nats; at most 0.
    pub log_likelihood: f64,
    pub n_tokens: usize,
    /// Whether each scored token was the model's first choice.
    pub is_greedy: bool,
}

impl Request {
    /// Scores `tokens[scored]`.
    ///
    /// `None` when there is nothing to score, or the range reaches outside the sequence, or holds
    /// its first token, which has nothing before it.
    pub fn new(tokens: Vec<u32>, scored: Range<usize>) -> Option<Self> {
        let fits = scored.start >= 1 && !scored.is_empty() && scored.end <= tokens.len();
        fits.then_some(Self { tokens, scored })
    }

    /// What is run through the model: the last token predicts nothing.
    pub fn input(&self) -> &[u32] {
        &self.tokens[..self.tokens.len() - 1]
    }

    /// Positions of the input whose next token is scored.
    pub fn positions(&self) -> Range<usize> {
        self.scored.start - 1..self.scored.end - 1
    }

    pub fn targets(&self) -> &[u32] {
        &self.tokens[self.scored.clone()]
    }

    pub fn n_scored(&self) -> usize {
        self.scored.len()
    }
}
