//! One text: what was requested, and what a member generated.

pub mod record;
pub mod spans;

use boomerang_core::generate::Sampling;
use boomerang_core::plan::Patch;
use boomerang_engine::messages::{Ending, Prompt, RunReport, TextEvent};
use serde::{Deserialize, Serialize};

use crate::family::MemberSize;
use spans::Span;

/// One text, continued by one member, or by several in turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: u32,
    /// The member that writes the last span.
    pub patch: Patch,
    pub size: MemberSize,
    pub prompt: Prompt,
    pub sampling: Sampling,
    /// Whether it replaced a text that differed only in its sampling.
    pub is_resampled: bool,
    /// Empty until the model has encoded the prompt.
    pub prompt_tokens: Vec<u32>,
    /// Of these: tokens that replace text for which the tokenizer has no token.
    pub n_unknown: usize,
    /// A conversation as the model reads it, once that is known.
    pub rendered: Option<String>,
    pub pieces: Vec<Piece>,
    /// What other members wrote before this one: the first of the pieces.
    pub earlier_spans: Vec<Span>,
    /// Of the last span.
    pub report: Option<RunReport>,
}

/// One token and the text it completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    pub token: u32,
    pub text: String,
}

/// What the user requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub patch: Patch,
    pub size: MemberSize,
    pub prompt: Prompt,
    pub n_tokens: usize,
    pub sampling: Sampling,
}

impl Run {
    /// A text before its first token.
    pub fn new(
        id: u32,
        patch: Patch,
        size: MemberSize,
        prompt: Prompt,
        sampling: Sampling,
    ) -> Self {
        Self {
            id,
            patch,
            size,
            prompt,
            sampling,
            is_resampled: false,
            prompt_tokens: Vec::new(),
            n_unknown: 0,
            rendered: None,
            pieces: Vec::new(),
            earlier_spans: Vec::new(),
            report: None,
        }
    }

    /// Updates the text with the worker's next event.
    pub fn on_event(&mut self, event: TextEvent) {
        match event {
            TextEvent::Started { prompt_tokens, rendered, n_unknown } => {
                self.prompt_tokens = prompt_tokens;
                self.rendered = rendered;
                self.n_unknown = n_unknown;
            }
            TextEvent::Token { token, text } => self.pieces.push(Piece { token, text }),
            TextEvent::Done { text, report } => {
                if let Some(last) = self.pieces.last_mut() {
                    last.text.push_str(&text);
                }
                self.report = Some(report);
            }
        }
    }

    /// Whether it was generated to its end.
    pub fn is_complete(&self) -> bool {
        self.report.is_some_and(|report| report.ending != Ending::Stopped)
    }

    /// Whether the task is this text again, with other sampling settings.
    pub fn differs_only_in_sampling(&self, task: &Task) -> bool {
        let is_same = self.patch == task.patch && self.prompt == task.prompt;
        is_same && self.sampling != task.sampling && !self.has_spans()
    }

    pub fn tokens(&self) -> Vec<u32> {
        self.pieces.iter().map(|piece| piece.token).collect()
    }

    /// Whether this prompt continues the conversation that this text is part of.
    pub fn is_in(&self, prompt: &Prompt) -> bool {
        match (&self.prompt, prompt) {
            (Prompt::Chat(own), Prompt::Chat(messages)) => {
                messages.len() > own.len() && messages.starts_with(own)
            }
            _ => false,
        }
    }

    /// Prompt and text, as the model has them.
    pub fn whole_text(&self) -> String {
        let prompt = self.rendered.as_deref().unwrap_or_else(|| self.prompt.last());
        prompt.to_owned() + &self.text()
    }

    pub fn text(&self) -> String {
        self.text_of(0..self.pieces.len())
    }

    /// Ids of the generated tokens, joined by commas.
    pub fn token_ids(&self) -> String {
        let ids: Vec<String> = self.tokens().iter().map(u32::to_string).collect();
        ids.join(",")
    }
}
