//! The three terms of the distillation loss (arXiv:2510.05064, equation 1).

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

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

/// Where the KL term looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KlPositions {
    /// At every token.
    Valid,
    /// At padding, too: the reference implementation's.
    All,
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
    fn only_targets_count_for_the_cross_entropy() {
        let device = Device::flex();
        let log_probs = Tensor::<2>::from_data([[-1.0, -2.0], [-3.0, -4.0]], &device);
        let targets = Tensor::<1, Int>::from_data([1, 0], &device);
        let loss = cross_entropy(log_probs, targets, flags([1.0, 0.0]), 1).into_scalar::<f32>();
        assert_eq!(loss, 2.0);
    }
}
