//! One text: what was asked for, and what a member wrote.

pub mod record;

use boomerang_core::generate::Sampling;
use boomerang_core::plan::Patch;
use boomerang_engine::messages::{Ending, Reply, RunReport};
use serde::{Deserialize, Serialize};

use crate::family::MemberSize;

/// One text, continued by one member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: u32,
    pub patch: Patch,
    pub size: MemberSize,
    pub prompt: String,
    pub sampling: Sampling,
    /// Empty until the model has read it.
    pub prompt_tokens: Vec<u32>,
    pub pieces: Vec<Piece>,
    pub report: Option<RunReport>,
}

/// One token and the text it completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    pub token: u32,
    pub text: String,
}

/// What the reader asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub patch: Patch,
    pub size: MemberSize,
    pub prompt: String,
    pub n_tokens: usize,
    pub sampling: Sampling,
}

impl Run {
    /// A text of which nothing is written yet.
    pub fn new(
        id: u32,
        patch: Patch,
        size: MemberSize,
        prompt: String,
        sampling: Sampling,
    ) -> Self {
        let (prompt_tokens, pieces) = (Vec::new(), Vec::new());
        Self { id, patch, size, prompt, sampling, prompt_tokens, pieces, report: None }
    }

    /// Takes in what the worker says of this text; of another, nothing.
    pub fn hear(&mut self, reply: &Reply) {
        match reply {
            Reply::Started { id, prompt_tokens } if *id == self.id => {
                self.prompt_tokens = prompt_tokens.clone();
            }
            Reply::Token { id, token, text } if *id == self.id => {
                self.pieces.push(Piece { token: *token, text: text.clone() });
            }
            Reply::Done { id, text, report } if *id == self.id => {
                if let Some(last) = self.pieces.last_mut() {
                    last.text.push_str(text);
                }
                self.report = Some(*report);
            }
            _ => {}
        }
    }

    /// Whether it is written to its end.
    pub fn is_whole(&self) -> bool {
        self.report.is_some_and(|report| report.ending != Ending::Stopped)
    }

    /// Whether the task is this text once more, with another draw.
    pub fn differs_in_chance_alone(&self, task: &Task) -> bool {
        self.patch == task.patch && self.prompt == task.prompt && self.sampling != task.sampling
    }

    pub fn tokens(&self) -> Vec<u32> {
        self.pieces.iter().map(|piece| piece.token).collect()
    }

    pub fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    /// Ids of the tokens written, joined by commas.
    pub fn token_ids(&self) -> String {
        let ids: Vec<String> = self.tokens().iter().map(u32::to_string).collect();
        ids.join(",")
    }
}
