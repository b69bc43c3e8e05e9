//! Cosine similarities and angles between the hidden states of a teacher and a student, with one
//! pass and one read-back per batch.
//!
//! Only sums are kept between batches, so that memory does not grow with the text. No logits are
//! computed.

use burn::tensor::Tensor;

use crate::distill::{Batch, BatchTensors};
use crate::evaluate::{ReadBackError, read_finite};
use crate::model::LanguageModel;

/// Similarities of hidden states, averaged over the tokens of some texts.
///
/// State `l` of a model is the input of layer `l`: 0 is the embedding, the last one the output of
/// the last layer. `across` uses the last states after each model's final norm, as the head does
/// and as in transformers; the others use it before the norm, to separate the last layer from the
/// norm.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSimilarity {
    pub n_tokens: usize,
    /// Cosine similarity of each student state (rows) with each teacher state (columns), from -1 to
    /// 1; `None` without a student.
    pub across: Option<Vec<Vec<f64>>>,
    /// Cosine similarity of each pair of teacher states; symmetric, 1 on the diagonal.
    pub within: Vec<Vec<f64>>,
    /// Angular distance of each pair of teacher states, from 0 to 1: the mean of `arccos(cosine) /
    /// π`. Values below 2e-4 are rounding errors.
    pub angles: Vec<Vec<f64>>,
}

/// Tokens whose states are compared at once; bounds the memory in addition to the states.
const TOKENS_AT_ONCE: usize = 4096;

/// Gives a zero vector, which has no direction, a cosine of 0 with anything.
const SQUARED_NORM_FLOOR: f64 = 1e-12;

/// Compares the states of `teacher` with each other and with those of `student`, if there is one;
/// `progress` receives the number of completed batches.
///
/// The states of one batch are in memory at a time; the caller chooses the batch size.
///
/// # Errors
/// [`ReadBackError`] if the device is lost.
pub async fn compare_states(
    teacher: &LanguageModel,
    student: Option<&LanguageModel>,
    batches: &[Batch],
    progress: &mut dyn FnMut(usize),
) -> Result<StateSimilarity, ReadBackError> {
    let n_states = teacher.n_layers() + 1;
    let n_rows = student.map_or(0, |student| student.n_layers() + 1);
    let (n_across, n_within) = (n_rows * n_states, n_states * n_states);
    let mut sums = vec![0.0; n_across + 2 * n_within];
    let mut n_tokens = 0;
    for (number, batch) in batches.iter().enumerate() {
        let tensors = batch.to_device(&teacher.device());
        let of_batch =
            read_finite(batch_sums(teacher, student, &tensors), "the cosine similarities").await?;
        for (sum, of_batch) in sums.iter_mut().zip(of_batch) {
            *sum += f64::from(of_batch);
        }
        n_tokens += tensors.n_tokens;
        progress(number + 1);
    }
    let means: Vec<f64> = sums.into_iter().map(|sum| sum / n_tokens.max(1) as f64).collect();
    let table = |from: usize, len: usize| -> Vec<Vec<f64>> {
        means[from..from + len].chunks(n_states).map(<[f64]>::to_vec).collect()
    };
    Ok(StateSimilarity {
        n_tokens,
        across: student.map(|_| table(0, n_across)),
        within: table(n_across, n_within),
        angles: table(n_across + n_within, n_within),
    })
}

/// Sums over the batch's tokens, concatenated: `across`, `within`, `angles`.
fn batch_sums(
    teacher: &LanguageModel,
    student: Option<&LanguageModel>,
    batch: &BatchTensors,
) -> Tensor<1> {
    let states = residual_states(teacher, batch);
    // Only the last state differs with the norm.
    let normalized = directions(vec![teacher.normalize(states[states.len() - 1].clone())]);
    let raw = directions(states);
    let ends = student.map(|student| {
        let mut of_student = residual_states(student, batch);
        let last = of_student.pop().expect("a model has at least one state");
        of_student.push(student.normalize(last));
        let of_teacher = [&raw[..raw.len() - 1], &normalized].concat();
        (directions(of_student), of_teacher)
    });
    let n_positions = batch.is_token.dims()[0];
    let mut total: Option<Tensor<1>> = None;
    for start in (0..n_positions).step_by(TOKENS_AT_ONCE) {
        let len = TOKENS_AT_ONCE.min(n_positions - start);
        let is_token = batch.is_token.clone().narrow(0, start, len).reshape([len, 1, 1]);
        let part = |states: &[Tensor<2>]| -> Tensor<3> {
            let states = states.iter().map(|state| state.clone().narrow(0, start, len));
            Tensor::stack(states.collect(), 1)
        };
        let mut sums = Vec::new();
        if let Some((student, teacher)) = &ends {
            let cosines = part(student).matmul(part(teacher).swap_dims(1, 2));
            sums.push(sum_of_tokens(cosines * is_token.clone()));
        }
        let states = part(&raw);
        let cosines = states.clone().matmul(states.swap_dims(1, 2)).clamp(-1.0, 1.0);
        let angles = cosines.clone().acos() / std::f64::consts::PI;
        sums.push(sum_of_tokens(cosines * is_token.clone()));
        sums.push(sum_of_tokens(angles * is_token));
        let sums = Tensor::cat(sums, 0);
        total = Some(match total {
            Some(total) => total + sums,
            None => sums,
        });
    }
    total.expect("a batch has at least one position")
}

/// Shapes: `[tokens, rows, columns]` -> `[rows * columns]`
fn sum_of_tokens(values: Tensor<3>) -> Tensor<1> {
    let [_, rows, columns] = values.dims();
    values.sum_dim(0).reshape([rows * columns])
}

/// The residual stream: the embedding, then the output of each layer, without the final norm.
pub(crate) fn residual_states(model: &LanguageModel, batch: &BatchTensors) -> Vec<Tensor<3>> {
    let [_, seq] = batch.tokens.dims();
    let context = model.context(seq, &batch.mask);
    let mut states = vec![model.embed(batch.tokens.clone(), 0)];
    for layer in model.layers() {
        let x = states[states.len() - 1].clone();
        states.push(layer.forward(x, &context, None));
    }
    states
}

/// Scales every state to unit length. Shapes: each `[batch, seq, d_model]` -> `[batch * seq,
/// d_model]`
fn directions(states: Vec<Tensor<3>>) -> Vec<Tensor<2>> {
    let direction = |state: Tensor<3>| {
        let [batch, seq, d_model] = state.dims();
        let rows = state.reshape([batch * seq, d_model]);
        let norm = (rows.clone().square().sum_dim(1) + SQUARED_NORM_FLOOR).sqrt();
        rows / norm
    };
    states.into_iter().map(direction).collect()
}
