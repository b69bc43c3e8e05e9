//! Log-likelihood requests: how likely are these tokens given their context?

use std::ops::Range;

/// A token sequence and the positions whose predictions are scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    input: Vec<u32>,
    positions: Range<usize>,
    targets: Vec<u32>,
}

/// The model's answer.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Likelihood {
    /// Sum over the scored tokens in nats; at most 0.
    pub log_likelihood: f64,
    pub n_tokens: usize,
    /// Whether each scored token is the model's most likely one.
    pub is_greedy: bool,
}

impl Request {
    /// Scores `tokens[scored]`, each given those before it.
    ///
    /// `None` if there is nothing to score, or the range exceeds the sequence or includes its first
    /// token, which has no context.
    pub fn new(mut tokens: Vec<u32>, scored: Range<usize>) -> Option<Self> {
        let fits = scored.start >= 1 && !scored.is_empty() && scored.end <= tokens.len();
        if !fits {
            return None;
        }
        let targets = tokens[scored.clone()].to_vec();
        // The last token is only a target.
        tokens.pop();
        Some(Self { input: tokens, positions: scored.start - 1..scored.end - 1, targets })
    }

    /// Scores `tokens[position]` given all others, with `mask` at that position.
    ///
    /// # Panics
    /// If `position` is out of range.
    pub fn masked(mut tokens: Vec<u32>, position: usize, mask: u32) -> Self {
        let target = std::mem::replace(&mut tokens[position], mask);
        Self { input: tokens, positions: position..position + 1, targets: vec![target] }
    }

    /// The input tokens of the model.
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
