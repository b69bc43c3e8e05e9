//! Requests to members of the family, and their answers.

use boomerang_core::bundle::{RecordedText, TaskFile};
use boomerang_core::generate::{Guess, KeptLayers, Sampling};
use boomerang_core::plan::Patch;
use serde::{Deserialize, Serialize};

use super::prompt::Prompt;
use crate::notice::Notice;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ModelRequest {
    /// Continue a prompt.
    Generate {
        patch: Patch,
        prompt: Prompt,
        n_tokens: usize,
        sampling: Sampling,
    },
    Ask(Question),
    /// Continue a text that one or several members have begun with a prompt: the tokens `before`.
    Continue {
        patch: Patch,
        prompt: Prompt,
        before: Vec<u32>,
        n_tokens: usize,
        sampling: Sampling,
    },
}

/// What can be asked of members besides generating; each has its own kind of [`Answer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// The next token that each member predicts after position `from` and all later ones. The last
    /// member is the one that all are compared with.
    Guess { patches: Vec<Patch>, tokens: Vec<u32>, from: usize },
    /// The probability that a member gives to each token from position `from` on.
    Certainty { patch: Patch, tokens: Vec<u32>, from: usize },
    /// The next token that each layer of a member predicts.
    Lens { patch: Patch, text: String },
    /// How well each member predicts a text.
    Score { patches: Vec<Patch>, text: String },
    /// Accuracy on the questions of a task, and decoding speed, of each member.
    Measure { patches: Vec<Patch>, task: TaskFile },
    /// Whether each member still computes what was recorded when the bundle was made.
    Check { recorded: Vec<RecordedText> },
    /// The logits of the token after a prompt.
    Logits { patch: Patch, prompt: Prompt },
}

/// To a [`ModelRequest::Generate`] or a [`ModelRequest::Continue`]; the last one is [`TextEvent::Done`] or a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TextReply {
    Event(TextEvent),
    Failed { notice: Notice },
}

/// A text as it is generated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TextEvent {
    /// The prompt as tokens, a conversation as the text that they are made from, and how many of the
    /// tokens replace text for which the tokenizer has no token.
    Started { prompt_tokens: Vec<u32>, rendered: Option<String>, n_unknown: usize },
    /// The text may be empty while a character is incomplete.
    Token { token: u32, text: String },
    /// With the rest of the text.
    Done { text: String, report: RunReport },
}

impl TextReply {
    /// Whether the request is answered with it.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Event(TextEvent::Done { .. }) | Self::Failed { .. })
    }
}

/// The answers to a [`Question`], then its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AnswerReply {
    /// More may follow.
    Part(Answer),
    Ended {
        is_stopped: bool,
    },
    Failed {
        notice: Notice,
    },
}

impl AnswerReply {
    /// Whether the question is answered with it.
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Part(_))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// The predictions of the next member, position by position.
    Guesses(Vec<GuessedToken>),
    /// Position by position.
    Certainties(Vec<TokenCertainty>),
    Lens(LensReport),
    /// How well the next member predicts the text.
    Score(TextScore),
    /// Of the next member.
    Measured(MeasuredMember),
    /// Of the next recorded member.
    Check(CheckedMember),
    /// One for each token of the vocabulary.
    Logits(Vec<f32>),
}

/// A guess, with its token as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuessedToken {
    pub guess: Guess,
    pub text: String,
}

/// How certain a member was of one token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenCertainty {
    /// In `0..=1`.
    pub probability: f64,
    /// The most likely tokens, most likely first.
    pub most_likely: Vec<LikelyToken>,
}

/// The logit lens: the prediction of every layer, as if it were the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LensReport {
    /// Tokens at the start of a long text that were processed but are not reported.
    pub n_before: usize,
    /// The tokens after those, as text.
    pub tokens: Vec<String>,
    /// From the embedding to the last layer.
    pub layers: Vec<LensLayer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LensLayer {
    /// `text` for the embedding, else as in the strip: `S0`, `T3`.
    pub name: String,
    /// The most likely next token after each token.
    pub guesses: Vec<LikelyToken>,
    /// Mean cosine of its output with the teacher's at the same depth, from -1 to 1.
    pub similarity: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LikelyToken {
    pub token: u32,
    pub text: String,
    /// In `0..=1`.
    pub probability: f64,
}

/// How well a member predicts a text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextScore {
    /// Mean over all tokens but the first, in nats.
    pub nats: f64,
    pub n_tokens: usize,
}

/// Accuracy and speed of a member on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredMember {
    pub n_correct: usize,
    pub n_questions: usize,
    /// For all questions.
    pub millis: f64,
    pub speed: DecodingSpeed,
    /// Memory of the worker's program after it; 0 where the browser does not report it.
    pub heap_bytes: u64,
}

/// Tokens per second after the prompt, over repeated runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecodingSpeed {
    /// The median run.
    pub median: f64,
    /// The slowest and the fastest run.
    pub lowest: f64,
    pub highest: f64,
    /// Runs that these are of; those before, in which the machine warmed up, are left out.
    pub n_runs: usize,
}

/// A member's results compared with what was recorded of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckedMember {
    /// Its index in the recorded text.
    pub member: usize,
    pub prompt: String,
    pub n_layers: usize,
    pub n_tokens: usize,
    /// The first position at which this machine's most likely token is not the recorded one.
    pub first_mismatch: Option<usize>,
    /// That most likely token, as text.
    pub instead: Option<String>,
    /// Largest difference of a recorded token's log-probability, in nats.
    pub max_difference: f64,
}

/// How a text, or the last part of it, was generated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    pub n_tokens: usize,
    /// The first of these: sampled from cached predictions, which takes no time.
    pub n_reused: usize,
    /// To the first token that was computed, from the prompt or from the last reused one.
    pub first_millis: f64,
    /// From the first token that was computed to the last.
    pub rest_millis: f64,
    pub ending: Ending,
    /// What was not computed again of the text before, when another member continued it.
    pub kept: Option<KeptLayers>,
}

/// Why a text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// It has the requested length.
    Length,
    /// The model's context window is full.
    Window,
    /// The model generated its end-of-text token.
    EndOfText,
    /// The user stopped it.
    Stopped,
}

impl RunReport {
    /// Of the computed tokens after the first, whose time is that of the prompt; `None` for fewer than
    /// eight of them, which a small model writes in less time than a browser's clock can tell.
    pub fn tokens_per_second(&self) -> Option<f64> {
        const FEWEST: usize = 8;
        let n_timed = self.n_tokens.saturating_sub(self.n_reused).saturating_sub(1);
        let is_timed = n_timed >= FEWEST && self.rest_millis > 0.0;
        is_timed.then(|| n_timed as f64 * 1000.0 / self.rest_millis)
    }
}
