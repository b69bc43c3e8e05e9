//! One text: what was asked for, and what a member wrote.

use boomerang_core::generate::Sampling;
use boomerang_core::plan::Patch;
use boomerang_engine::messages::RunReport;

use crate::family::MemberSize;

/// One text, continued by one member.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub id: u32,
    pub patch: Patch,
    pub size: MemberSize,
    pub prompt: String,
    pub n_prompt_tokens: Option<usize>,
    pub pieces: Vec<Piece>,
    pub report: Option<RunReport>,
}

/// One token and the text it completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub token: u32,
    pub text: String,
}

/// What the reader asks for.
#[derive(Clone, Debug)]
pub struct Task {
    pub patch: Patch,
    pub size: MemberSize,
    pub prompt: String,
    pub n_tokens: usize,
    pub sampling: Sampling,
}

impl Run {
    pub fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    /// Ids of the tokens written, joined by commas.
    pub fn token_ids(&self) -> String {
        let ids: Vec<String> = self.pieces.iter().map(|piece| piece.token.to_string()).collect();
        ids.join(",")
    }
}
