//! Text, one token at a time.

mod certainty;
mod comparison;
mod open;
mod replay;
mod retrace;
mod text_stream;

use burn::tensor::{Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use certainty::{Certainty, certainties};
pub use comparison::{Guess, TextComparison};
pub use open::{OpenError, answer_open};
pub use replay::ReplayCache;
pub use retrace::{Retraced, retrace};
pub use text_stream::TextStream;

use crate::evaluate::{ReadBackError, read_finite};
use crate::model::{AttentionMask, KvCache, LanguageModel};

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Always the likeliest.
    Greedy,
    /// Drawn at random; a temperature below 1 sharpens the distribution, above 1 flattens it.
    Random { temperature: f64, seed: u64 },
}

/// A text that cannot be continued.
#[derive(Debug, Error)]
pub enum GenerateError {
    #[error("{model_type} predicts masked tokens from both sides and continues no text")]
    Masked { model_type: &'static str },
    #[error("the prompt is empty; the model needs at least one token to continue")]
    EmptyPrompt,
    #[error("the prompt has {n_tokens} tokens, the model's window {max_seq}: shorten it to {room} or fewer", room = max_seq - 1)]
    PromptTooLong { n_tokens: usize, max_seq: usize },
    #[error("token {token} is outside the model's vocabulary of {vocab}")]
    OutsideVocabulary { token: u32, vocab: usize },
    #[error("{0}")]
    ReadBack(#[from] ReadBackError),
}

/// A text in the making.
pub struct Generation<'model> {
    model: &'model LanguageModel,
    written: ReplayCache,
    /// Tokens chosen by this generation; more may be known from one before.
    n_chosen: usize,
    n_tokens: usize,
    n_reused: usize,
    /// Places whose logits are kept.
    most_kept: usize,
    sampling: Sampling,
    rng: ChaCha8Rng,
}

impl<'model> Generation<'model> {
    /// Continues `prompt` by at most `n_tokens`, fewer when the model's window ends.
    ///
    /// # Errors
    /// [`GenerateError`] when the prompt does not fit the model.
    pub fn new(
        model: &'model LanguageModel,
        prompt: &[u32],
        n_tokens: usize,
        sampling: Sampling,
    ) -> Result<Self, GenerateError> {
        readable(model, prompt)?;
        let max_seq = model.config().max_seq;
        if prompt.len() >= max_seq {
            return Err(GenerateError::PromptTooLong { n_tokens: prompt.len(), max_seq });
        }
        let n_tokens = n_tokens.min(max_seq - prompt.len());
        let cache = KvCache::new(model.config(), 1, prompt.len() + n_tokens, &model.device());
        Ok(Self::of(model, ReplayCache::nothing(prompt, cache), n_tokens, sampling))
    }

    /// Writes a text of the same model anew, with the same prompt: its tokens are those that
    /// [`Generation::new`] gives, but the model runs only where nothing is known any more.
    ///
    /// # Errors
    /// [`GenerateError`] when the prompt does not fit the model.
    pub fn replay(
        model: &'model LanguageModel,
        written: ReplayCache,
        n_tokens: usize,
        sampling: Sampling,
    ) -> Result<Self, GenerateError> {
        let n_prompt = written.prompt().len();
        let n_possible = n_tokens.min(model.config().max_seq.saturating_sub(n_prompt));
        match written.with_capacity(model.config(), n_prompt + n_possible) {
            Ok(written) => Ok(Self::of(model, written, n_possible, sampling)),
            Err(prompt) => Self::new(model, &prompt, n_tokens, sampling),
        }
    }

    fn of(
        model: &'model LanguageModel,
        written: ReplayCache,
        n_tokens: usize,
        sampling: Sampling,
    ) -> Self {
        let seed = match sampling {
            Sampling::Greedy => 0,
            Sampling::Random { seed, .. } => seed,
        };
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { model, written, n_chosen: 0, n_tokens, n_reused: 0, most_kept: 0, sampling, rng }
    }

    /// Keeps what the model says at the first places, up to so many bytes, for
    /// [`Generation::into_replay_cache`].
    #[must_use]
    pub fn keeping(mut self, n_bytes: usize) -> Self {
        self.most_kept = n_bytes / (size_of::<f32>() * self.model.config().vocab);
        self
    }

    /// The next token; `None` when there are enough.
    ///
    /// # Errors
    /// [`GenerateError::ReadBack`] when the device is lost, or the logits are not finite.
    pub async fn next(&mut self) -> Result<Option<u32>, GenerateError> {
        let place = self.n_chosen;
        if place == self.n_tokens {
            return Ok(None);
        }
        let known = self.written.logits(place);
        let is_known = known.is_some();
        let logits = known.unwrap_or_else(|| self.written.read_up_to(place, self.model));
        if !is_known && place < self.most_kept {
            self.written.keep_logits(logits.clone());
        }
        let token = match self.sampling {
            Sampling::Greedy => argmax(logits).await?,
            Sampling::Random { temperature, .. } => {
                let logits = read_finite(logits, LOGITS).await?;
                let logits: Vec<f64> = logits.into_iter().map(f64::from).collect();
                draw(&logits, temperature, self.rng.random())
            }
        };
        self.written.choose(place, token);
        self.n_chosen += 1;
        self.n_reused += usize::from(is_known);
        Ok(Some(token))
    }

    /// Tokens that were drawn so far from what the model had said before.
    pub fn n_reused(&self) -> usize {
        self.n_reused
    }

    /// The text with what the model said along it; `None` where nothing of that was kept.
    pub fn into_replay_cache(self) -> Option<ReplayCache> {
        self.written.logits(0).is_some().then_some(self.written)
    }
}

/// Whether the model can read a text and say what follows, whatever its length.
fn readable(model: &LanguageModel, text: &[u32]) -> Result<(), GenerateError> {
    if model.config().is_masked() {
        return Err(GenerateError::Masked { model_type: model.config().traits().model_type });
    }
    if text.is_empty() {
        return Err(GenerateError::EmptyPrompt);
    }
    known(model, text)
}

/// Whether the model has a row in its embedding for each of these tokens.
fn known(model: &LanguageModel, tokens: &[u32]) -> Result<(), GenerateError> {
    let vocab = model.config().vocab;
    match tokens.iter().find(|&&token| token as usize >= vocab) {
        Some(&token) => Err(GenerateError::OutsideVocabulary { token, vocab }),
        None => Ok(()),
    }
}

/// A text that the model is to read in one pass, `[1, seq]`.
pub(crate) fn whole_text(
    model: &LanguageModel,
    text: &[u32],
) -> Result<Tensor<2, Int>, GenerateError> {
    readable(model, text)?;
    let (n_tokens, max_seq) = (text.len(), model.config().max_seq);
    if n_tokens > max_seq {
        return Err(GenerateError::PromptTooLong { n_tokens, max_seq });
    }
    let data: Vec<i64> = text.iter().map(|&token| i64::from(token)).collect();
    Ok(Tensor::from_data(TensorData::new(data, [1, n_tokens]), &model.device()))
}

/// Places whose logits are held at a time, for each model.
pub(crate) const PLACES_AT_ONCE: usize = 32;

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

/// What an error calls the numbers that a token is chosen by.
const LOGITS: &str = "the logits";

/// Chosen on the device, so that two numbers are read back and not the vocabulary.
async fn argmax(logits: Tensor<2>) -> Result<u32, ReadBackError> {
    // A mean is finite only where all its terms are.
    let mean = (logits.clone() / logits.dims()[1] as f64).sum_dim(1);
    // Whole numbers are exact in f32 beyond any vocabulary.
    let best = logits.argmax(1).float();
    let numbers = read_finite(Tensor::cat(vec![best, mean], 1), LOGITS).await?;
    Ok(numbers.first().map_or(0, |&best| best as u32))
}

/// The token at `point`, in `0..1`, of the softened distribution.
fn draw(logits: &[f64], temperature: f64, point: f64) -> u32 {
    let temperature = temperature.max(1e-3);
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights = logits.iter().map(|logit| ((logit - largest) / temperature).exp());
    let mut left = point * weights.clone().sum::<f64>();
    for (token, weight) in weights.enumerate() {
        left -= weight;
        if left < 0.0 {
            return token as u32;
        }
    }
    logits.len().saturating_sub(1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_draw_takes_the_likeliest() {
        assert_eq!(draw(&[0.0, 2.0, 1.9], 0.0, 0.99), 1);
    }

    #[test]
    fn the_point_walks_through_the_distribution() {
        let drawn: Vec<u32> =
            [0.1, 0.4, 0.6, 0.9].map(|point| draw(&[0.0, 0.0], 1.0, point)).into();
        assert_eq!(drawn, [0, 0, 1, 1]);
    }

    #[test]
    fn no_token_is_chosen_by_logits_that_are_not_finite() {
        use burn::tensor::{Device, TensorData};
        use futures_lite::future::block_on;

        let choose = |logits: [f32; 3]| {
            let logits =
                Tensor::from_data(TensorData::new(logits.to_vec(), [1, 3]), &Device::flex());
            block_on(argmax(logits))
        };
        assert_eq!(choose([f32::MIN, 0.5, f32::MAX]).unwrap(), 2);
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(matches!(choose([0.0, wrong, 1.0]), Err(ReadBackError::NotFinite { .. })));
        }
    }
}
