//! What a step tells: every loss term.

use serde::{Deserialize, Serialize};

/// The loss of one micro-batch, or of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossTerms {
    /// The weighted sum that is minimised.
    pub total: f64,
    /// In nats; `None` when the term is off, like the others.
    pub cross_entropy: Option<f64>,
    /// In nats, before its weight.
    pub kl: Option<f64>,
    /// One cosine distance for each aligned pair, before their weight; empty when the term is off.
    pub alignment: Vec<f64>,
}

/// One step of the optimizer.
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
}

impl LossTerms {
    /// Mean cosine distance over the aligned pairs.
    pub fn mean_alignment(&self) -> Option<f64> {
        let n_pairs = self.alignment.len();
        (n_pairs > 0).then(|| self.alignment.iter().sum::<f64>() / n_pairs as f64)
    }

    fn is_finite(&self) -> bool {
        self.total.is_finite()
    }
}

impl StepReport {
    /// Whether the weights can still be trusted after this step.
    pub fn is_finite(&self) -> bool {
        self.terms.is_finite() && self.grad_norm.is_finite()
    }
}
