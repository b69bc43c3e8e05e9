//! Cosine similarity of hidden states: student to teacher, and teacher states to each other.
//!
//! A student layer that imitates its block well can be patched with little risk, and a teacher
//! layer that hardly changes the direction of its input can be dropped. Both are cheap to measure,
//! but only proxies: the quality of a member is its divergence from the teacher, which
//! [`search`](crate::search) measures.

mod advice;
mod analysis;
mod keep;
mod lens;
mod states;

use burn::tensor::Tensor;

use crate::distill::{Batch, loss::alignment_loss};
use crate::evaluate::{ReadBackError, read_finite};
use crate::prune::Family;

pub use advice::{Advice, KeepAdvice, similarity_order};
pub use analysis::{Analysis, AnalysisError};
pub use keep::keep_advice;
pub use lens::{Depth, LensGuess, look_inside};
pub(crate) use states::residual_states;
pub use states::{StateSimilarity, compare_states};

/// Mean cosine similarity between each student layer's output and the output of its teacher block,
/// first layer first, from -1 to 1. Each model runs on its own hidden states.
///
/// # Errors
/// [`ReadBackError`] if the device is lost.
pub async fn block_similarity(
    family: &Family,
    batches: &[Batch],
) -> Result<Vec<f64>, ReadBackError> {
    let device = family.teacher().model().device();
    let pairs: Vec<(usize, usize)> = family.plan().alignment().into_iter().skip(1).collect();
    let mut sums = vec![0.0; pairs.len()];
    let mut n_tokens = 0;
    for batch in batches {
        let batch = batch.to_device(&device);
        let student = family.student().model().hidden_states(batch.tokens.clone(), &batch.mask);
        let teacher = family.teacher().model().hidden_states(batch.tokens.clone(), &batch.mask);
        let distances = pairs.iter().map(|&(student_state, teacher_state)| {
            let states = (student[student_state].clone(), teacher[teacher_state].clone());
            alignment_loss(states.0, states.1, batch.is_token.clone(), batch.n_tokens)
        });
        let distances =
            read_finite(Tensor::cat(distances.collect(), 0), "the cosine similarities").await?;
        for (sum, distance) in sums.iter_mut().zip(distances) {
            *sum += (1.0 - f64::from(distance)) * batch.n_tokens as f64;
        }
        n_tokens += batch.n_tokens;
    }
    Ok(sums.into_iter().map(|sum| sum / n_tokens.max(1) as f64).collect())
}
