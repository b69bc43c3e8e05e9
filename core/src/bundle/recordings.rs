//! What members wrote when a bundle was made: to be read before a weight is there, and to check a
//! machine against.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{BundleError, Manifest};
use crate::config::ModelConfig;
use crate::generate::{GenerateError, Generation, Retraced, Sampling, TextStream, retrace};
use crate::model::LanguageModel;
use crate::plan::{PatchOrder, PlanError};
use crate::prune::Family;
use crate::tokenizer::{Tokenizer, TokenizerError};

/// Greedy continuations of a few prompts by every member on the path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recordings {
    pub texts: Vec<RecordedText>,
}

/// One prompt, continued by every member on the path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedText {
    pub prompt: String,
    pub prompt_tokens: Vec<u32>,
    /// Student first, teacher last.
    pub members: Vec<RecordedMember>,
}

/// What one member wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedMember {
    pub n_layers: usize,
    pub tokens: Vec<u32>,
    /// The text that each token completed; together they are the continuation.
    pub pieces: Vec<String>,
    /// The log-probability of each token, in nats, at most 0.
    pub log_probs: Vec<f32>,
    /// Whether the model ended the text by itself.
    pub is_ended: bool,
}

/// A prompt that cannot be recorded.
#[derive(Debug, Error)]
pub enum RecordError {
    #[error("the prompt {prompt:?} cannot be read")]
    Prompt { prompt: String, source: TokenizerError },
    #[error("the prompt {prompt:?} cannot be continued")]
    Generate { prompt: String, source: GenerateError },
    #[error("what follows the prompt {prompt:?} is no text")]
    Text { prompt: String, source: TokenizerError },
    #[error("with {n_layers} layers, the model expects a token with a probability of {found}")]
    NotANumber { n_layers: usize, found: f32 },
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl Recordings {
    /// Lets every member on the path continue every prompt by at most `n_tokens`, fewer when it ends
    /// the text or its window does. `progress` is told the texts written so far.
    ///
    /// A machine that loads a bundle has the weights [`as_stored`](super::as_stored); so should
    /// `family`.
    ///
    /// # Errors
    /// [`RecordError`] names the prompt that does not fit the model.
    pub async fn record(
        family: &Family,
        order: &PatchOrder,
        tokenizer: &Tokenizer,
        prompts: &[String],
        n_tokens: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, RecordError> {
        let path = order.path(family.plan())?;
        let mut texts = Vec::new();
        let mut n_written = 0;
        for prompt in prompts {
            let prompt_tokens = tokenizer
                .encode(prompt, true)
                .map_err(|source| RecordError::Prompt { prompt: prompt.clone(), source })?;
            let mut text = RecordedText {
                prompt: prompt.clone(),
                prompt_tokens,
                members: Vec::with_capacity(path.len()),
            };
            for patch in &path {
                let member = family.member(patch);
                text.members.push(text.continued_by(&member, tokenizer, n_tokens).await?);
                n_written += 1;
                progress(n_written);
            }
            texts.push(text);
        }
        Ok(Self { texts })
    }

    /// # Errors
    /// [`BundleError`] when these are not the bytes that the manifest lists, or what they say cannot
    /// be of its family.
    pub fn from_json(bytes: &[u8], manifest: &Manifest) -> Result<Self, BundleError> {
        let file = manifest.recordings.as_ref();
        let file = file.ok_or(BundleError::NotListed { what: "recordings" })?;
        file.verify(bytes)?;
        let recordings: Self = file.parse(bytes)?;
        let config = manifest.config()?;
        let path = manifest.order.path(&manifest.plan)?;
        let n_layers: Vec<usize> =
            path.iter().map(|patch| manifest.plan.recipe(patch).layers.len()).collect();
        for text in &recordings.texts {
            text.check(&config, &n_layers).map_err(|reason| file.unfit(reason))?;
        }
        Ok(recordings)
    }
}

impl RecordedText {
    async fn continued_by(
        &self,
        member: &LanguageModel,
        tokenizer: &Tokenizer,
        n_tokens: usize,
    ) -> Result<RecordedMember, RecordError> {
        let prompt = || self.prompt.clone();
        let impossible = |source| RecordError::Generate { prompt: prompt(), source };
        let unreadable = |source| RecordError::Text { prompt: prompt(), source };
        let mut generation =
            Generation::new(member, &self.prompt_tokens, n_tokens, Sampling::Greedy)
                .map_err(impossible)?;
        let mut stream = TextStream::new(tokenizer, &self.prompt_tokens);
        let end_tokens = member.config().end_tokens();
        let (mut tokens, mut pieces) = (Vec::new(), Vec::new());
        let mut is_ended = false;
        while let Some(token) = generation.next().await.map_err(impossible)? {
            is_ended = end_tokens.contains(&token);
            if is_ended {
                break;
            }
            tokens.push(token);
            pieces.push(stream.push(token).map_err(unreadable)?);
        }
        // Half a character at the end belongs to the token that left it so.
        let rest = stream.finish().map_err(unreadable)?;
        if let Some(last) = pieces.last_mut() {
            last.push_str(&rest);
        }

        let places = retrace(member, &self.prompt_tokens, &tokens).await.map_err(impossible)?;
        // Rounding may have left a probability above 1.
        let log_prob = |place: &Retraced| rounded(place.log_prob.min(0.0) as f32);
        let log_probs: Vec<f32> = places.iter().map(log_prob).collect();
        let n_layers = member.n_layers();
        match log_probs.iter().find(|log_prob| !log_prob.is_finite()) {
            Some(&found) => Err(RecordError::NotANumber { n_layers, found: found.exp() }),
            None => Ok(RecordedMember { n_layers, tokens, pieces, log_probs, is_ended }),
        }
    }

    /// Why this cannot have been written by members of `n_layers`.
    fn check(&self, config: &ModelConfig, n_layers: &[usize]) -> Result<(), String> {
        let of = |what: String| format!("after the prompt {:?}, {what}", self.prompt);
        if self.prompt_tokens.is_empty() {
            return Err(format!("the prompt {:?} has no tokens", self.prompt));
        }
        let (found, expected) = (self.members.len(), n_layers.len());
        if found != expected {
            return Err(of(format!("{found} members have written; the path has {expected}")));
        }
        for (member, &expected) in self.members.iter().zip(n_layers) {
            let RecordedMember { n_layers, tokens, pieces, log_probs, .. } = member;
            if *n_layers != expected {
                return Err(of(format!(
                    "a member of {n_layers} layers has written; the path has one of {expected} there"
                )));
            }
            if pieces.len() != tokens.len() || log_probs.len() != tokens.len() {
                return Err(of(format!(
                    "the member of {n_layers} layers has {} tokens, {} pieces and {} \
                     log-probabilities; expected as many of each",
                    tokens.len(),
                    pieces.len(),
                    log_probs.len()
                )));
            }
            let mut all = self.prompt_tokens.iter().chain(tokens);
            if let Some(token) = all.find(|&&token| token as usize >= config.vocab) {
                let vocab = config.vocab;
                return Err(of(format!(
                    "token {token} is outside the model's vocabulary of {vocab}"
                )));
            }
            let (found, max_seq) = (self.prompt_tokens.len() + tokens.len(), config.max_seq);
            if found > max_seq {
                return Err(of(format!(
                    "a text of {found} tokens is longer than the model's window of {max_seq}"
                )));
            }
            let is_log_prob = |log_prob: &&f32| log_prob.is_finite() && **log_prob <= 0.0;
            if let Some(found) = log_probs.iter().find(|log_prob| !is_log_prob(log_prob)) {
                return Err(of(format!("a log-probability is {found}; expected at most 0")));
            }
        }
        Ok(())
    }
}

/// To five decimals: machines differ in those behind, and the file is smaller.
fn rounded(log_prob: f32) -> f32 {
    // The sum makes a zero of a negative zero.
    ((f64::from(log_prob) * 1e5).round() / 1e5) as f32 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_probability_is_written_with_five_decimals() {
        let written = |log_prob| serde_json::to_string(&rounded(log_prob)).unwrap();
        assert_eq!(written(-1.234_567_8), "-1.23457");
        assert_eq!(written(-12.345_678), "-12.34568");
        assert_eq!(written(-1e-7), "0.0");
    }
}
