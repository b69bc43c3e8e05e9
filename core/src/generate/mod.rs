//! Text generation, one token at a time.

mod certainty;
mod comparison;
mod drafted;
mod open;
mod pace;
mod replay;
mod retrace;
mod switched;
mod text_stream;
mod together;

use burn::tensor::{Int, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use certainty::{Certainty, certainties};
pub use comparison::{Guess, TextComparison};
pub use drafted::{DraftCounts, DraftedGeneration};
pub use open::{OpenError, answer_open};
pub use replay::ReplayCache;
pub use retrace::{Retraced, retrace};
pub use switched::{KeptLayers, SharedLayers};
pub use text_stream::TextStream;
pub use together::{SampledPrompt, SampledText, sample_together};

use crate::evaluate::{ReadBackError, read_finite};
use crate::model::{AttentionMask, KvCache, LanguageModel};

/// Decoding strategy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Greedy: always the most likely token.
    Greedy,
    /// Sampling; a temperature below 1 sharpens the distribution, above 1 flattens it.
    Random { temperature: f64, seed: u64 },
}

impl Sampling {
    fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(match self {
            Self::Greedy => 0,
            Self::Random { seed, .. } => seed,
        })
    }
}

/// Why a text cannot be generated.
#[derive(Debug, Error)]
pub enum GenerateError {
    #[error("{model_type} is a masked language model and cannot generate text")]
    Masked { model_type: &'static str },
    #[error("the prompt is empty; the model needs at least one token to continue")]
    EmptyPrompt,
    #[error(
        "the prompt has {n_tokens} tokens, but the model's window has {max_seq} positions; shorten \
         it to {longest} tokens or fewer",
        longest = max_seq - 1
    )]
    PromptTooLong { n_tokens: usize, max_seq: usize },
    #[error("token {token} is outside the model's vocabulary of {vocab} tokens")]
    OutsideVocabulary { token: u32, vocab: usize },
    #[error(
        "the draft has a vocabulary of {draft} tokens, the model one of {model}; use a draft with \
         the model's tokenizer"
    )]
    DraftVocabulary { draft: usize, model: usize },
    #[error("{0}")]
    ReadBack(#[from] ReadBackError),
}

/// A generation in progress.
pub struct Generation<'model> {
    model: &'model LanguageModel,
    cache: ReplayCache,
    /// Tokens chosen by this generation; the cache may hold more from a previous one.
    n_chosen: usize,
    n_tokens: usize,
    n_reused: usize,
    /// Number of positions whose logits are kept.
    n_kept: usize,
    sampling: Sampling,
    rng: ChaCha8Rng,
}

impl<'model> Generation<'model> {
    /// Continues `prompt` by at most `n_tokens`, fewer if the model's window ends.
    ///
    /// # Errors
    /// [`GenerateError`] if the prompt is not valid for the model.
    pub fn new(
        model: &'model LanguageModel,
        prompt: &[u32],
        n_tokens: usize,
        sampling: Sampling,
    ) -> Result<Self, GenerateError> {
        let n_tokens = n_possible(model, prompt, n_tokens)?;
        let cache = KvCache::new(model, prompt.len() + n_tokens);
        Ok(Self::of(model, ReplayCache::empty(prompt, cache), n_tokens, sampling))
    }

    /// Generates again with the same model and prompt. The tokens equal those of
    /// [`Generation::new`], but the model runs only where the cache has no logits.
    ///
    /// # Errors
    /// [`GenerateError`] if the prompt is not valid for the model.
    pub fn replay(
        model: &'model LanguageModel,
        cache: ReplayCache,
        n_tokens: usize,
        sampling: Sampling,
    ) -> Result<Self, GenerateError> {
        let n_prompt = cache.prompt().len();
        let n_possible = n_tokens.min(model.config().max_seq.saturating_sub(n_prompt));
        match cache.with_capacity(model.config(), n_prompt + n_possible) {
            Ok(cache) => Ok(Self::of(model, cache, n_possible, sampling)),
            Err(prompt) => Self::new(model, &prompt, n_tokens, sampling),
        }
    }

    fn of(
        model: &'model LanguageModel,
        cache: ReplayCache,
        n_tokens: usize,
        sampling: Sampling,
    ) -> Self {
        let rng = sampling.rng();
        Self { model, cache, n_chosen: 0, n_tokens, n_reused: 0, n_kept: 0, sampling, rng }
    }

    /// Keeps the logits of the first positions, up to `n_bytes`, for
    /// [`Generation::into_replay_cache`].
    #[must_use]
    pub fn keeping(mut self, n_bytes: usize) -> Self {
        self.n_kept = n_bytes / (size_of::<f32>() * self.model.config().vocab);
        self
    }

    /// The next token; `None` after the last one.
    ///
    /// # Errors
    /// [`GenerateError::ReadBack`] if the device is lost, or the logits are not finite.
    pub async fn next(&mut self) -> Result<Option<u32>, GenerateError> {
        let index = self.n_chosen;
        if index == self.n_tokens {
            return Ok(None);
        }
        let cached = self.cache.logits(index);
        let is_cached = cached.is_some();
        let logits = cached.unwrap_or_else(|| self.cache.read_up_to(index, self.model));
        if !is_cached && index < self.n_kept {
            self.cache.keep_logits(logits.clone());
        }
        let token = match self.sampling {
            Sampling::Greedy => argmax(logits).await?,
            Sampling::Random { temperature, .. } => {
                let logits = read_finite(logits, LOGITS).await?;
                sample(&logits, temperature, self.rng.random())
            }
        };
        self.cache.choose(index, token);
        self.n_chosen += 1;
        self.n_reused += usize::from(is_cached);
        Ok(Some(token))
    }

    /// Number of tokens so far that were chosen from cached logits.
    pub fn n_reused(&self) -> usize {
        self.n_reused
    }

    /// The text with its logits and KV cache; `None` if no logits were kept.
    pub fn into_replay_cache(self) -> Option<ReplayCache> {
        self.cache.logits(0).is_some().then_some(self.cache)
    }

    /// The text with its KV cache, for [`Generation::switched`].
    pub fn into_cache(self) -> ReplayCache {
        self.cache
    }
}

/// How many of `n_tokens` fit in the model's window after a prompt.
fn n_possible(
    model: &LanguageModel,
    prompt: &[u32],
    n_tokens: usize,
) -> Result<usize, GenerateError> {
    check_readable(model, prompt)?;
    let max_seq = model.config().max_seq;
    if prompt.len() >= max_seq {
        return Err(GenerateError::PromptTooLong { n_tokens: prompt.len(), max_seq });
    }
    Ok(n_tokens.min(max_seq - prompt.len()))
}

/// The logits of the token after `prompt`, in one forward pass; `[vocab]`, not normalized.
///
/// # Errors
/// [`GenerateError`] if the prompt is not valid for the model.
pub async fn next_logits(model: &LanguageModel, prompt: &[u32]) -> Result<Vec<f32>, GenerateError> {
    let tokens = whole_text(model, prompt)?;
    let last = last_states(model, &tokens, prompt.len() - 1);
    Ok(read_finite(model.logits(last), LOGITS).await?)
}

/// Checks that a causal model can process a text, regardless of its length.
fn check_readable(model: &LanguageModel, text: &[u32]) -> Result<(), GenerateError> {
    if model.config().is_masked() {
        return Err(GenerateError::Masked { model_type: model.config().traits().model_type });
    }
    if text.is_empty() {
        return Err(GenerateError::EmptyPrompt);
    }
    check_vocabulary(model, text)
}

/// Checks that all tokens are in the model's vocabulary.
fn check_vocabulary(model: &LanguageModel, tokens: &[u32]) -> Result<(), GenerateError> {
    let vocab = model.config().vocab;
    match tokens.iter().find(|&&token| token as usize >= vocab) {
        Some(&token) => Err(GenerateError::OutsideVocabulary { token, vocab }),
        None => Ok(()),
    }
}

/// A text as input of a single forward pass, `[1, seq]`.
pub(crate) fn whole_text(
    model: &LanguageModel,
    text: &[u32],
) -> Result<Tensor<2, Int>, GenerateError> {
    check_readable(model, text)?;
    let (n_tokens, max_seq) = (text.len(), model.config().max_seq);
    if n_tokens > max_seq {
        return Err(GenerateError::PromptTooLong { n_tokens, max_seq });
    }
    Ok(model.row(text))
}

/// Positions whose logits are in memory at a time, per model.
pub(crate) const POSITIONS_AT_ONCE: usize = 32;

/// Hidden states after the final norm, from position `from` on, `[positions, d_model]`; those of
/// other layers are freed at once.
fn last_states(model: &LanguageModel, tokens: &Tensor<2, Int>, from: usize) -> Tensor<2> {
    let [_, seq] = tokens.dims();
    let context = model.context(seq, &AttentionMask::causal(seq, 0, &model.device()));
    let mut x = model.embed(tokens.clone(), 0);
    for layer in model.layers() {
        x = layer.forward(x, &context, None);
    }
    model.normalize(x.narrow(1, from, seq - from)).squeeze_dim::<2>(0)
}

/// Name of the values in errors.
const LOGITS: &str = "the logits";

async fn argmax(logits: Tensor<2>) -> Result<u32, ReadBackError> {
    Ok(argmax_of_rows(logits).await?.first().copied().unwrap_or_default())
}

/// The most likely token of each row, computed on the device, so that only two numbers of each are read
/// back.
///
/// Shape: `[rows, vocab]`
async fn argmax_of_rows(logits: Tensor<2>) -> Result<Vec<u32>, ReadBackError> {
    // A mean is finite only if all of its terms are.
    let mean = (logits.clone() / logits.dims()[1] as f64).sum_dim(1);
    // Token ids of any vocabulary are exact in f32.
    let best = logits.argmax(1).float();
    let numbers = read_finite(Tensor::cat(vec![best, mean], 1), LOGITS).await?;
    Ok(numbers.chunks(2).map(|row| row[0] as u32).collect())
}

/// Samples from `softmax(logits / temperature)`; `point` is in `0..1`.
fn sample(logits: &[f32], temperature: f64, point: f64) -> u32 {
    index_at(&probabilities(logits, temperature), point)
}

/// `softmax(logits / temperature)`
fn probabilities(logits: &[f32], temperature: f64) -> Vec<f64> {
    let temperature = temperature.max(1e-3);
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let weights = logits.iter().map(|logit| ((f64::from(*logit) - largest) / temperature).exp());
    let mut weights: Vec<f64> = weights.collect();
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

/// Inverse transform sampling by weights, which need not sum to 1; `point` is in `0..1`.
fn index_at(weights: &[f64], point: f64) -> u32 {
    let mut left = point * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return index as u32;
        }
    }
    weights.len().saturating_sub(1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperature_zero_is_greedy() {
        assert_eq!(sample(&[0.0, 2.0, 1.9], 0.0, 0.99), 1);
    }

    #[test]
    fn the_point_selects_by_cumulative_probability() {
        let sampled: Vec<u32> =
            [0.1, 0.4, 0.6, 0.9].map(|point| sample(&[0.0, 0.0], 1.0, point)).into();
        assert_eq!(sampled, [0, 0, 1, 1]);
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
