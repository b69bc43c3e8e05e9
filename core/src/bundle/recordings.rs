//! Generations recorded when a bundle is built: shown before any weight is loaded, and compared
//! with what a machine generates.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{BundleError, Manifest};
use crate::config::ModelConfig;
use crate::generate::{GenerateError, Generation, Retraced, Sampling, TextStream, retrace};
use crate::model::LanguageModel;
use crate::plan::{PatchOrder, PlanError};
use crate::prune::Family;
use crate::tokenizer::{Tokenizer, TokenizerError};

/// Greedy generations from a few prompts by every member on the path.
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

/// The generation of one member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedMember {
    pub n_layers: usize,
    pub tokens: Vec<u32>,
    /// The text that each token completes; concatenated they are the generated text.
    pub pieces: Vec<String>,
    /// Log-probability of each token in nats, at most 0.
    pub log_probs: Vec<f32>,
    /// Whether the model generated an end-of-text token.
    pub is_ended: bool,
}

/// Why a generation cannot be recorded.
#[derive(Debug, Error)]
pub enum RecordError {
    #[error("the prompt {prompt:?} cannot be tokenized")]
    Prompt { prompt: String, source: TokenizerError },
    #[error("the prompt {prompt:?} cannot be continued")]
    Generate { prompt: String, source: GenerateError },
    #[error("the text generated from the prompt {prompt:?} cannot be decoded")]
    Text { prompt: String, source: TokenizerError },
    #[error(
        "the member with {n_layers} layers gives a token the probability {found}; expected a \
         finite number"
    )]
    NotANumber { n_layers: usize, found: f32 },
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl Recordings {
    /// Every member on the path continues every prompt by at most `n_tokens`, fewer at an
    /// end-of-text token or at the end of the context window. `progress` receives the number of
    /// generations so far.
    ///
    /// `family` should have its weights rounded by [`as_stored`](super::as_stored), as machines
    /// load them from the bundle.
    ///
    /// # Errors
    /// [`RecordError`] names the prompt.
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

    /// Puts the prompts first on which sizes improve ([`RecordedText::improves_at`]), then those on which
    /// only some sizes differ from the teacher; others keep their order after these.
    pub fn order_by_improvement(&mut self) {
        self.texts.sort_by_key(|text| match (text.improves_at(), text.n_other_members()) {
            (Some(_), _) => 0,
            (None, 0) => 2,
            (None, _) if text.student_agrees() => 2,
            (None, _) => 1,
        });
    }

    /// # Errors
    /// [`BundleError`] if the bytes do not match the manifest, or the recordings cannot be of its
    /// family.
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
    /// The position on the path of the smallest size from which on every size writes the teacher's
    /// text; `None` if the student writes it too, or no size in between does.
    pub fn improves_at(&self) -> Option<usize> {
        let teacher = self.members.len().checked_sub(1)?;
        let last_other =
            self.members.iter().rposition(|it| it.tokens != self.members[teacher].tokens);
        last_other.map(|stop| stop + 1).filter(|&stop| stop < teacher && !self.student_agrees())
    }

    /// How many members write another text than the teacher.
    pub fn n_other_members(&self) -> usize {
        let teacher = self.members.last();
        let others = self
            .members
            .iter()
            .filter(|member| teacher.is_some_and(|teacher| teacher.tokens != member.tokens));
        others.count()
    }

    fn student_agrees(&self) -> bool {
        let [student, teacher] = [self.members.first(), self.members.last()];
        student.zip(teacher).is_some_and(|(student, teacher)| student.tokens == teacher.tokens)
    }

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
        // An incomplete character at the end belongs to the last token.
        let rest = stream.finish().map_err(unreadable)?;
        if let Some(last) = pieces.last_mut() {
            last.push_str(&rest);
        }

        let retraced = retrace(member, &self.prompt_tokens, &tokens).await.map_err(impossible)?;
        // Rounding may leave a probability above 1.
        let log_prob = |token: &Retraced| rounded(token.log_prob.min(0.0) as f32);
        let log_probs: Vec<f32> = retraced.iter().map(log_prob).collect();
        let n_layers = member.n_layers();
        match log_probs.iter().find(|log_prob| !log_prob.is_finite()) {
            Some(&found) => Err(RecordError::NotANumber { n_layers, found: found.exp() }),
            None => Ok(RecordedMember { n_layers, tokens, pieces, log_probs, is_ended }),
        }
    }

    /// Why this cannot have been generated by members with these numbers of layers.
    fn check(&self, config: &ModelConfig, n_layers: &[usize]) -> Result<(), String> {
        let of = |what: String| format!("after the prompt {:?}, {what}", self.prompt);
        if self.prompt_tokens.is_empty() {
            return Err(format!("the prompt {:?} has no tokens", self.prompt));
        }
        let (found, expected) = (self.members.len(), n_layers.len());
        if found != expected {
            return Err(of(format!("{found} members are recorded; the path has {expected}")));
        }
        for (member, &expected) in self.members.iter().zip(n_layers) {
            let RecordedMember { n_layers, tokens, pieces, log_probs, .. } = member;
            if *n_layers != expected {
                return Err(of(format!(
                    "a member with {n_layers} layers is recorded where the path has one with \
                     {expected}"
                )));
            }
            if pieces.len() != tokens.len() || log_probs.len() != tokens.len() {
                return Err(of(format!(
                    "the member of {n_layers} layers has {} tokens, {} pieces and {} \
                     log-probabilities; expected the same number of each",
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

/// Rounds to five decimals: further ones differ between machines and only enlarge the file.
fn rounded(log_prob: f32) -> f32 {
    // The sum turns a negative zero into zero.
    ((f64::from(log_prob) * 1e5).round() / 1e5) as f32 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One token per member, the teacher's last.
    fn text(prompt: &str, tokens: &[u32]) -> RecordedText {
        let member = |&token: &u32| RecordedMember {
            n_layers: 1,
            tokens: vec![token],
            pieces: vec![token.to_string()],
            log_probs: vec![0.0],
            is_ended: true,
        };
        let members = tokens.iter().map(member).collect();
        RecordedText { prompt: prompt.to_owned(), prompt_tokens: vec![0], members }
    }

    #[test]
    fn sizes_improve_where_all_larger_ones_write_the_teachers_text() {
        let at = |tokens: &[u32]| text("", tokens).improves_at();
        assert_eq!(at(&[1, 2, 3, 3, 3]), Some(2));
        assert_eq!(at(&[1, 3, 2, 3, 3]), Some(3));
        // The student has it, no size in between has it, nothing is recorded.
        assert_eq!([at(&[3, 2, 3]), at(&[1, 2, 3]), at(&[3, 3]), at(&[])], [None; 4]);
    }

    #[test]
    fn prompts_on_which_sizes_improve_are_first() {
        let texts = vec![
            text("all agree", &[3, 3, 3]),
            text("none agrees", &[1, 2, 3]),
            text("improves", &[1, 3, 3]),
            text("only between", &[3, 2, 3]),
            text("improves too", &[2, 3, 3]),
        ];
        let mut recordings = Recordings { texts };
        recordings.order_by_improvement();
        let prompts: Vec<&str> = recordings.texts.iter().map(|text| &*text.prompt).collect();
        let expected = ["improves", "improves too", "none agrees", "all agree", "only between"];
        assert_eq!(prompts, expected);
    }

    #[test]
    fn a_log_probability_is_written_with_five_decimals() {
        let written = |log_prob| serde_json::to_string(&rounded(log_prob)).unwrap();
        assert_eq!(written(-1.234_567_8), "-1.23457");
        assert_eq!(written(-12.345_678), "-12.34568");
        assert_eq!(written(-1e-7), "0.0");
    }
}
