//! The language-model head and its two losses, a chunk of positions at a time.
//!
//! The logits of a chunk are made, their gradients written in closed form, and both multiplied back
//! before the next chunk, so that nothing of the size `[tokens, vocab]` exists:
//!
//! - cross-entropy: `p - onehot(label)`,
//! - KL divergence at temperature `T`: `T (p_student - p_teacher)` (Hinton et al., arXiv:1503.02531),
//!
//! each times its weight, over the number of labels or of rows.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Int, Tensor, TensorData};

use super::levers::Levers;
use super::loss::{KlPositions, LossWeights};
use super::part::Counts;
use crate::model::LanguageModel;
use crate::model::backward::{HeadRow, head_loss};

/// What the losses of a micro-batch need, on the host.
pub(super) struct HeadRows {
    pub(super) rows: Vec<HeadRow>,
    pub(super) n_labels: usize,
    /// Rows that the KL divergence is averaged over.
    pub(super) n_rows: usize,
}

/// Cross-entropy and KL divergence of normalized states, summed over rows, each `[1]`. `teacher` is the
/// teacher with its states; without one there is no KL divergence. `backward` is called chunk by chunk,
/// with the states and the gradient of their logits.
pub(super) fn head_losses(
    student: &LanguageModel,
    states: &Tensor<2>,
    teacher: Option<(&LanguageModel, &Tensor<2>)>,
    rows: &HeadRows,
    weights: &LossWeights,
    levers: &Levers,
    mut backward: impl FnMut(&Tensor<2>, Tensor<2>),
) -> [Tensor<1>; 2] {
    let [n_rows, _] = states.dims();
    let (chunk, dtype) = (levers.head_chunk.max(1), levers.mixed_precision.dtype());
    let mut sums = [(); 2].map(|()| Tensor::zeros([1], &states.device()));
    for start in (0..n_rows).step_by(chunk) {
        let len = chunk.min(n_rows - start);
        let own = states.clone().narrow(0, start, len);
        let teacher = teacher
            .map(|(model, states)| model.head_logits(&states.clone().narrow(0, start, len), dtype));
        let of_rows = &rows.rows[start..start + len];
        let logits = student.head_logits(&own, dtype);
        let capped = student.config().logit_softcap.map(|cap| (cap, logits.clone()));
        let [cross_entropy, kl, of_logits] = losses(logits, teacher, of_rows, rows, weights);
        let of_logits = match capped {
            // The derivative of cap * tanh(x / cap).
            Some((cap, logits)) => of_logits * (-(logits / cap).square() + 1.0),
            None => of_logits,
        };
        backward(&own, of_logits);
        let [cross_entropy_sum, kl_sum] = sums;
        sums = [cross_entropy_sum + cross_entropy.reshape([1]), kl_sum + kl.reshape([1])];
    }
    sums
}

/// Cross-entropy and KL divergence summed over rows, `[1, 1]`, and the gradient of the logits.
fn losses(
    student: Tensor<2>,
    teacher: Option<Tensor<2>>,
    of_rows: &[HeadRow],
    rows: &HeadRows,
    weights: &LossWeights,
) -> [Tensor<2>; 3] {
    let of_labels = weights.cross_entropy / rows.n_labels.max(1) as f64;
    let of_rows_weight = weights.kl / rows.n_rows.max(1) as f64;
    let device = student.device();
    let fused =
        head_loss([of_labels, of_rows_weight, weights.temperature], of_rows, student, teacher);
    let (student, teacher) = match fused {
        Ok((sums, gradient)) => {
            let [cross_entropy, kl] = sums.map(|sum| {
                Tensor::<2>::from_data(TensorData::new(vec![sum as f32], [1, 1]), &device)
            });
            return [cross_entropy, kl, gradient];
        }
        Err(given) => given,
    };
    let n = of_rows.len();
    let column = |of: &dyn Fn(&HeadRow) -> f32| {
        let values: Vec<f32> = of_rows.iter().map(of).collect();
        Tensor::<2>::from_data(TensorData::new(values, [n, 1]), &device)
    };
    let has_label = column(&|row| f32::from(u8::from(row.label.is_some())));
    let labels: Vec<i64> = of_rows.iter().map(|row| i64::from(row.label.unwrap_or(0))).collect();
    let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [n, 1]), &device);
    let log_probs = log_softmax(student.clone(), 1);
    let zeros = Tensor::<2>::zeros(student.dims(), &device);
    let onehot = zeros.scatter(1, labels, has_label.clone(), burn::tensor::IndexingUpdateOp::Add);
    // Not by `gather`: on GPUs it reads the logarithms after `exp` has taken their place.
    let cross_entropy = -(log_probs.clone() * onehot.clone()).sum().reshape([1, 1]);
    let mut gradient = (log_probs.exp() * has_label - onehot) * of_labels;
    let mut kl = Tensor::zeros([1, 1], &device);
    if let Some(teacher) = teacher {
        let temperature = weights.temperature;
        let counts = column(&|row| f32::from(u8::from(row.counts)));
        let own = log_softmax(student / temperature, 1);
        let other = log_softmax(teacher.clone() / temperature, 1);
        let of_teacher = softmax(teacher / temperature, 1);
        let divergence = (of_teacher.clone() * (other - own.clone())).sum_dim(1);
        kl = (divergence * counts.clone()).sum().reshape([1, 1]) * (temperature * temperature);
        gradient = gradient + (own.exp() - of_teacher) * counts * (of_rows_weight * temperature);
    }
    [cross_entropy, kl, gradient]
}

impl HeadRows {
    /// With the counts of the micro-batch that they are a part of.
    pub(super) fn counted_as(self, counts: Counts) -> Self {
        Self { n_labels: counts.n_labels, n_rows: counts.n_rows, ..self }
    }

    /// Of a batch on the host.
    pub(super) fn of(batch: &super::Batch, positions: KlPositions) -> Self {
        let rows = batch.head_rows(positions);
        let n_labels = rows.iter().filter(|row| row.label.is_some()).count();
        let n_rows = rows.iter().filter(|row| row.counts).count();
        Self { rows, n_labels, n_rows }
    }
}
