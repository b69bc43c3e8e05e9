//! What the members of a family expect along one text, beside their teacher.
//!
//! Nobody writes here: every member reads the same text, so that places can be compared.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{GenerateError, readable};
use crate::evaluate::ReadBackError;
use crate::model::{AttentionMask, LanguageModel};

/// What a member expects at one place of a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guess {
    /// The likeliest next token.
    pub token: u32,
    /// Its probability, in `0..=1`.
    pub probability: f64,
    /// `KL(teacher ‖ member)` of the next token, in nats; at least 0.
    pub kl: f64,
}

/// A text that a teacher has read.
pub struct Along<'model> {
    teacher: &'model LanguageModel,
    /// `[1, seq]`
    tokens: Tensor<2, Int>,
    /// The first place whose next token is guessed.
    from: usize,
    /// The teacher's last states at those places, `[places, d_model]`.
    states: Tensor<2>,
}

/// Places whose logits are held at a time, once for the teacher and once for the member.
const PLACES_AT_ONCE: usize = 32;

impl<'model> Along<'model> {
    /// Lets the teacher read `text`; the next token is guessed after place `from` and all later ones.
    ///
    /// # Errors
    /// [`GenerateError`] when the text does not fit the model.
    pub fn new(
        teacher: &'model LanguageModel,
        text: &[u32],
        from: usize,
    ) -> Result<Self, GenerateError> {
        let tokens = on_device(teacher, text)?;
        let from = from.min(text.len() - 1);
        let states = last_states(teacher, &tokens, from);
        Ok(Self { teacher, tokens, from, states })
    }

    /// What a member expects, place by place.
    ///
    /// # Errors
    /// [`ReadBackError`] when the device is lost.
    pub async fn guesses(&self, member: &LanguageModel) -> Result<Vec<Guess>, ReadBackError> {
        let states = last_states(member, &self.tokens, self.from);
        let [n_places, _] = states.dims();
        let mut guesses = Vec::with_capacity(n_places);
        for start in (0..n_places).step_by(PLACES_AT_ONCE) {
            let n_here = PLACES_AT_ONCE.min(n_places - start);
            let here = |states: &Tensor<2>| states.clone().narrow(0, start, n_here);
            // [n_here, vocab]
            let expected = log_softmax(self.teacher.logits(here(&self.states)), 1);
            let found = log_softmax(member.logits(here(&states)), 1);
            let kl = (expected.clone().exp() * (expected - found.clone())).sum_dim(1);
            let likeliest = found.clone().argmax(1);
            let log_probability = found.gather(1, likeliest.clone());

            let tokens = likeliest.into_data_async().await.map_err(ReadBackError::new)?;
            let numbers = Tensor::cat(vec![log_probability, kl], 1);
            let numbers = numbers.into_data_async().await.map_err(ReadBackError::new)?;
            let numbers: Vec<f64> = numbers.iter::<f64>().collect();
            let guess = |(token, numbers): (u32, &[f64; 2])| Guess {
                token,
                probability: numbers[0].exp().min(1.0),
                // A distribution has no negative divergence; rounding may have left one.
                kl: numbers[1].max(0.0),
            };
            guesses.extend(tokens.iter::<u32>().zip(numbers.as_chunks::<2>().0).map(guess));
        }
        Ok(guesses)
    }
}

/// The log-probability of each token of `text` from place `from` on, given those before it, in nats,
/// at most 0. The first token has nothing before it and is left out.
///
/// # Errors
/// [`GenerateError`] when the text does not fit the model, or the device is lost.
pub async fn log_probs(
    model: &LanguageModel,
    text: &[u32],
    from: usize,
) -> Result<Vec<f32>, GenerateError> {
    let tokens = on_device(model, text)?;
    let from = from.clamp(1, text.len());
    let n_places = text.len() - from;
    let mut log_probs = Vec::with_capacity(n_places);
    if n_places == 0 {
        return Ok(log_probs);
    }
    // A token is expected at the place before it.
    let states = last_states(model, &tokens, from - 1);
    let targets = tokens.narrow(1, from, n_places).reshape([n_places, 1]);
    for start in (0..n_places).step_by(PLACES_AT_ONCE) {
        let n_here = PLACES_AT_ONCE.min(n_places - start);
        // [n_here, vocab]
        let found = log_softmax(model.logits(states.clone().narrow(0, start, n_here)), 1);
        let found = found.gather(1, targets.clone().narrow(0, start, n_here));
        let found = found.into_data_async().await.map_err(ReadBackError::new)?;
        // Rounding may have left a probability above 1.
        log_probs.extend(found.iter::<f32>().map(|log_prob| log_prob.min(0.0)));
    }
    Ok(log_probs)
}

/// A text that fits the model, `[1, seq]`.
fn on_device(model: &LanguageModel, text: &[u32]) -> Result<Tensor<2, Int>, GenerateError> {
    readable(model, text)?;
    let max_seq = model.config().max_seq;
    if text.len() > max_seq {
        return Err(GenerateError::PromptTooLong { n_tokens: text.len(), max_seq });
    }
    let data: Vec<i64> = text.iter().map(|&token| i64::from(token)).collect();
    Ok(Tensor::from_data(TensorData::new(data, [1, text.len()]), &model.device()))
}

/// Normalised states behind the last layer, from place `from` on, `[places, d_model]`; those of
/// other layers are let go of at once.
fn last_states(model: &LanguageModel, tokens: &Tensor<2, Int>, from: usize) -> Tensor<2> {
    let [_, seq] = tokens.dims();
    let context = model.context(seq, &AttentionMask::causal(seq, 0, &model.device()));
    let mut x = model.embed(tokens.clone(), 0);
    for layer in model.layers() {
        x = layer.forward(x, &context, None);
    }
    model.normalize(x.narrow(1, from, seq - from)).squeeze_dim::<2>(0)
}
