//! The terms of the distillation loss (arXiv:2510.05064, equation 1), and all that differs between
//! them: settings, metrics, command line and page iterate over [`LossTerm::ALL`].

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

/// A term of the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LossTerm {
    /// Of the labels, in nats: [`cross_entropy`].
    CrossEntropy,
    /// From the teacher's distribution, in nats: [`kl_divergence`].
    Kl,
    /// Cosine distance of hidden states, one part for each aligned pair: [`alignment_loss`].
    Alignment,
}

/// How much each term counts; a term of weight 0 is not computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossWeights {
    pub cross_entropy: f64,
    pub kl: f64,
    /// Softening of both distributions in the KL term.
    pub temperature: f64,
    pub kl_positions: KlPositions,
    /// Shared equally by the aligned pairs.
    pub alignment: f64,
}

/// The loss of one micro-batch, or of a step. A term that is off has no value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossTerms {
    /// The weighted sum that is minimized.
    pub total: f64,
    /// In nats, before its weight, like the others.
    pub cross_entropy: Option<f64>,
    /// In nats.
    pub kl: Option<f64>,
    /// One cosine distance for each aligned pair.
    pub alignment: Vec<f64>,
}

/// Where the KL term is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KlPositions {
    /// At every token.
    Valid,
    /// At padding, too: the reference implementation's.
    All,
}

impl LossTerm {
    pub const ALL: [Self; 3] = [Self::CrossEntropy, Self::Kl, Self::Alignment];

    /// The name in metrics, and in the flag `--KEY-weight`.
    pub fn key(self) -> &'static str {
        match self {
            Self::CrossEntropy => "ce",
            Self::Kl => "kl",
            Self::Alignment => "cosine",
        }
    }

    /// The name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Kl => "KL divergence",
            Self::Alignment => "cosine distance of hidden states",
        }
    }

    /// The name in a table or a chart.
    pub fn short_name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Kl => "KL",
            Self::Alignment => "alignment",
        }
    }

    /// What the reference implementation calls the weight, where it has one.
    pub fn reference_name(self) -> Option<&'static str> {
        match self {
            Self::CrossEntropy => None,
            Self::Kl => Some("kl_loss_weight"),
            Self::Alignment => Some("cosine_loss_weight"),
        }
    }

    pub fn weight(self, weights: &LossWeights) -> f64 {
        match self {
            Self::CrossEntropy => weights.cross_entropy,
            Self::Kl => weights.kl,
            Self::Alignment => weights.alignment,
        }
    }

    pub fn set_weight(self, weights: &mut LossWeights, weight: f64) {
        match self {
            Self::CrossEntropy => weights.cross_entropy = weight,
            Self::Kl => weights.kl = weight,
            Self::Alignment => weights.alignment = weight,
        }
    }

    /// The values that the term is the mean of; none when it is off.
    pub fn parts(self, terms: &LossTerms) -> &[f64] {
        match self {
            Self::CrossEntropy => terms.cross_entropy.as_slice(),
            Self::Kl => terms.kl.as_slice(),
            Self::Alignment => &terms.alignment,
        }
    }

    pub fn set_parts(self, terms: &mut LossTerms, parts: Vec<f64>) {
        match self {
            Self::CrossEntropy => terms.cross_entropy = parts.first().copied(),
            Self::Kl => terms.kl = parts.first().copied(),
            Self::Alignment => terms.alignment = parts,
        }
    }

    /// Before its weight; `None` when the term is off.
    pub fn value(self, terms: &LossTerms) -> Option<f64> {
        let parts = self.parts(terms);
        (!parts.is_empty()).then(|| parts.iter().sum::<f64>() / parts.len() as f64)
    }
}

impl LossWeights {
    /// The terms that count.
    pub fn terms(&self) -> impl Iterator<Item = LossTerm> {
        LossTerm::ALL.into_iter().filter(|term| term.weight(self) != 0.0)
    }

    /// The weights of a loss that is `factor` times as large.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            cross_entropy: self.cross_entropy * factor,
            kl: self.kl * factor,
            alignment: self.alignment * factor,
            ..self
        }
    }
}

impl LossWeights {
    /// The alignment of states alone, with a weight of 1.
    pub const ALIGNMENT: Self = Self {
        cross_entropy: 0.0,
        kl: 0.0,
        temperature: 1.0,
        kl_positions: KlPositions::Valid,
        alignment: 1.0,
    };
}

impl Default for LossWeights {
    fn default() -> Self {
        Self {
            cross_entropy: 1.0,
            kl: 0.1,
            temperature: 1.0,
            kl_positions: KlPositions::Valid,
            alignment: 2.0,
        }
    }
}

impl LossTerms {
    /// Mean cosine distance over the aligned pairs.
    pub fn mean_alignment(&self) -> Option<f64> {
        LossTerm::Alignment.value(self)
    }

    /// The first term that is NaN or infinite.
    pub fn first_not_finite(&self) -> Option<LossTerm> {
        let is_bad = |term: &LossTerm| term.parts(self).iter().any(|value| !value.is_finite());
        LossTerm::ALL.into_iter().find(is_bad)
    }
}

/// Mean negative log-likelihood of the targets, in nats.
///
/// Shapes: `log_probs` is `[rows, vocab]`, `targets` and `has_target` are `[rows]`; the result is
/// `[1]`.
pub fn cross_entropy(
    log_probs: Tensor<2>,
    targets: Tensor<1, Int>,
    has_target: Tensor<1>,
    n_targets: usize,
) -> Tensor<1> {
    let picked = log_probs.gather(1, targets.unsqueeze_dim(1)).squeeze_dim::<1>(1);
    -(picked * has_target).sum() / n_targets.max(1) as f64
}

/// `KL(teacher ‖ student)` of the softened distributions, times the squared temperature; at least 0.
///
/// Shapes: both logits are `[rows, vocab]`, `counts` is `[rows]`, 1 where a row counts; the result
/// is `[1]`, the sum over rows divided by `n_rows`.
pub fn kl_divergence(
    student_logits: Tensor<2>,
    teacher_logits: Tensor<2>,
    temperature: f64,
    counts: Option<Tensor<1>>,
    n_rows: usize,
) -> Tensor<1> {
    let student = log_softmax(student_logits / temperature, 1);
    let teacher = log_softmax(teacher_logits / temperature, 1);
    // Nowhere NaN: a probability that underflows to 0 meets a finite difference of logarithms.
    let by_row = (teacher.clone().exp() * (teacher - student)).sum_dim(1).squeeze_dim::<1>(1);
    let by_row = match counts {
        Some(counts) => by_row * counts,
        None => by_row,
    };
    by_row.sum() * (temperature * temperature / n_rows.max(1) as f64)
}

/// Mean cosine distance between matching hidden states: 0 when they point the same way, 2 when
/// they point in opposite ways.
///
/// Shapes: `student` and `teacher` are `[batch, seq, d_model]`, `is_token` is `[batch * seq]`; the
/// result is `[1]`.
pub fn alignment_loss(
    student: Tensor<3>,
    teacher: Tensor<3>,
    is_token: Tensor<1>,
    n_tokens: usize,
) -> Tensor<1> {
    let [batch, seq, d_model] = student.dims();
    let student = student.reshape([batch * seq, d_model]);
    let teacher = teacher.reshape([batch * seq, d_model]);
    let dot = (student.clone() * teacher.clone()).sum_dim(1);
    let squared_norms = (student.square().sum_dim(1) + SQUARED_NORM_FLOOR)
        * (teacher.square().sum_dim(1) + SQUARED_NORM_FLOOR);
    let cosine = (dot / squared_norms.sqrt()).squeeze_dim::<1>(1);
    ((-cosine + 1.0) * is_token).sum() / n_tokens.max(1) as f64
}

/// Keeps the root's gradient finite at a zero vector.
const SQUARED_NORM_FLOOR: f64 = 1e-12;

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test may block")]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn states(values: [[f32; 2]; 2]) -> Tensor<3> {
        Tensor::from_data([values], &Device::flex())
    }

    fn flags(values: [f32; 2]) -> Tensor<1> {
        Tensor::from_data(values, &Device::flex())
    }

    #[test]
    fn alignment_is_zero_for_parallel_and_two_for_opposite_states() {
        let teacher = states([[1.0, 2.0], [3.0, 4.0]]);
        let value = |student, is_token: [f32; 2], n_tokens| {
            alignment_loss(student, teacher.clone(), flags(is_token), n_tokens).into_scalar::<f32>()
        };
        assert!(value(states([[2.0, 4.0], [0.3, 0.4]]), [1.0, 1.0], 2).abs() < 1e-6);
        assert!((value(states([[-1.0, -2.0], [3.0, 4.0]]), [1.0, 0.0], 1) - 2.0).abs() < 1e-6);
    }

    #[test]
    fn a_distribution_has_no_divergence_from_itself() {
        let logits = Tensor::<2>::from_data([[1.0, -2.0, 40.0]], &Device::flex());
        let kl = kl_divergence(logits.clone(), logits, 2.0, None, 1).into_scalar::<f32>();
        assert_eq!(kl, 0.0);
    }

    #[test]
    fn every_term_has_a_weight_and_a_value_of_its_own() {
        let (mut weights, mut terms) = (LossWeights::default(), LossTerms::default());
        for (number, term) in (1_u8..).zip(LossTerm::ALL) {
            term.set_weight(&mut weights, f64::from(number));
            assert_eq!(term.value(&terms), None);
            term.set_parts(&mut terms, vec![f64::from(number)]);
        }
        for (number, term) in (1_u8..).zip(LossTerm::ALL) {
            assert_eq!(term.weight(&weights), f64::from(number));
            assert_eq!(term.value(&terms), Some(f64::from(number)));
        }
        let keys: std::collections::BTreeSet<_> = LossTerm::ALL.map(LossTerm::key).into();
        assert_eq!(keys.len(), LossTerm::ALL.len());
    }

    #[test]
    fn only_targets_count_for_the_cross_entropy() {
        let device = Device::flex();
        let log_probs = Tensor::<2>::from_data([[-1.0, -2.0], [-3.0, -4.0]], &device);
        let targets = Tensor::<1, Int>::from_data([1, 0], &device);
        let loss = cross_entropy(log_probs, targets, flags([1.0, 0.0]), 1).into_scalar::<f32>();
        assert_eq!(loss, 2.0);
    }
}
