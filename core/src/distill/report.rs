//! What a step reports: every loss term.

use serde::{Deserialize, Serialize};

use super::loss::LossTerms;

/// One optimizer step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Reduced over the micro-batches as the gradients were: their mean, or their sum.
    pub terms: LossTerms,
    pub micro_batches: Vec<LossTerms>,
    /// Of the reduced gradient, before clipping.
    pub grad_norm: f64,
    pub learning_rate: f64,
    /// Tokens seen in this step, without padding.
    pub n_tokens: usize,
    /// Whether the weights were changed; never by a loss or gradient that is not finite.
    pub is_taken: bool,
}

impl StepReport {
    /// Whether loss and gradient are finite.
    pub fn is_finite(&self) -> bool {
        self.terms.total.is_finite() && self.grad_norm.is_finite()
    }
}
