//! What a model is asked: how likely are these tokens, given those around them?

use std::ops::Range;

/// A token sequence with places at which the model is asked for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    input: Vec<u32>,
    positions: Range<usize>,
    targets: Vec<u32>,
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
    /// Scores `tokens[scored]`, each given those before it.
    ///
    /// `None` when there is nothing to score, or the range reaches outside the sequence, or holds
    /// its first token, which has nothing before it.
    pub fn new(mut tokens: Vec<u32>, scored: Range<usize>) -> Option<Self> {
        let fits = scored.start >= 1 && !scored.is_empty() && scored.end <= tokens.len();
        if !fits {
            return None;
        }
        let targets = tokens[scored.clone()].to_vec();
        // The last token predicts nothing.
        tokens.pop();
        Some(Self { input: tokens, positions: scored.start - 1..scored.end - 1, targets })
    }

    /// Scores `tokens[place]` given all others, with `mask` in its place.
    ///
    /// # Panics
    /// When there is no such place.
    pub fn masked(mut tokens: Vec<u32>, place: usize, mask: u32) -> Self {
        let target = std::mem::replace(&mut tokens[place], mask);
        Self { input: tokens, positions: place..place + 1, targets: vec![target] }
    }

    /// What is run through the model.
    pub fn input(&self) -> &[u32] {
        &self.input
    }

    /// Positions of the input whose prediction is scored.
    pub fn positions(&self) -> Range<usize> {
        self.positions.clone()
    }

    pub fn targets(&self) -> &[u32] {
        &self.targets
    }

    pub fn n_scored(&self) -> usize {
        self.targets.len()
    }
}
