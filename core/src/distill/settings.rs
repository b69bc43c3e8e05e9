//! What can be chosen of a distillation and its optimizer.

use serde::{Deserialize, Serialize};

use super::loss::LossWeights;
use super::schedule::Schedule;
use crate::plan::Alignment;

/// What a distillation is made of, besides models and data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistillSettings {
    pub loss: LossWeights,
    pub update: UpdateSettings,
    /// Pairs of states to align; `None` for the plan's own.
    pub alignment: Option<Alignment>,
}

/// Everything about the optimizer but its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateSettings {
    pub schedule: Schedule,
    pub beta_1: f32,
    pub beta_2: f32,
    pub epsilon: f32,
    pub weight_decay: f32,
    pub decay_rule: DecayRule,
    /// Largest norm of all gradients together; larger ones are scaled down to it.
    pub clip: f64,
    pub reduction: Reduction,
    /// Parts that keep their weights.
    pub frozen: Vec<Part>,
}

/// Which tensors weight decay pulls towards zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecayRule {
    /// As transformers 4.51.3 groups them for this architecture.
    Reference,
    /// Matrices only: no norm, no bias.
    Matrices,
}

/// What becomes of the gradients of a step's micro-batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    Mean,
    /// The reference implementation's.
    Sum,
}

/// A part that can be frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    #[serde(alias = "embed")]
    Embedding,
    Head,
}

impl UpdateSettings {
    /// The reference implementation's, with gradients averaged instead of summed.
    pub fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            beta_1: 0.9,
            beta_2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            decay_rule: DecayRule::Reference,
            clip: 1.0,
            reduction: Reduction::Mean,
            frozen: Vec::new(),
        }
    }
}
