//! The vocabulary of a tokenizer.

use std::collections::HashMap;

use serde::Deserialize;

use super::refusal;
use crate::gguf::{GgufArray, GgufError, GgufValue, Metadata};

#[derive(Deserialize)]
pub(super) struct Words {
    #[serde(default)]
    added_tokens: Vec<Added>,
    pub(super) model: Bpe,
}

#[derive(Deserialize)]
pub(super) struct Added {
    id: usize,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
pub(super) struct Bpe {
    vocab: HashMap<String, usize>,
    pub(super) merges: Vec<Merge>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Merge {
    Joined(String),
    Pair(String, String),
}

/// `tokenizer.ggml.token_type`.
pub(super) mod token_type {
    pub(in crate::gguf::tokenizer) const NORMAL: i32 = 1;
    pub(in crate::gguf::tokenizer) const UNKNOWN: i32 = 2;
    pub(in crate::gguf::tokenizer) const CONTROL: i32 = 3;
    pub(in crate::gguf::tokenizer) const USER_DEFINED: i32 = 4;
    pub(in crate::gguf::tokenizer) const UNUSED: i32 = 5;
    pub(in crate::gguf::tokenizer) const BYTE: i32 = 6;
}

/// The vocabulary in the order of its ids.
pub(super) struct Tokens {
    pub(super) texts: Vec<String>,
    types: Vec<i32>,
    pub(super) ids: HashMap<String, usize>,
}

impl Tokens {
    pub(super) fn of(words: &Words, vocab: usize) -> Result<Self, GgufError> {
        // Rows of the embedding without a token.
        let mut texts: Vec<String> = (0..vocab).map(|id| format!("[PAD{id}]")).collect();
        let mut types = vec![token_type::UNUSED; vocab];
        let own = words.model.vocab.iter().map(|(text, &id)| (text, id, token_type::NORMAL));
        let added = words.added_tokens.iter().map(|token| {
            let special = token.special;
            let kind = if special { token_type::CONTROL } else { token_type::USER_DEFINED };
            (&token.content, token.id, kind)
        });
        let mut ids = HashMap::new();
        for (text, id, kind) in own.chain(added) {
            if id >= vocab {
                return Err(refusal(format!(
                    "token {text:?} has id {id}, but the model's embedding has {vocab} rows"
                )));
            }
            texts[id].clone_from(text);
            types[id] = kind;
            ids.insert(text.clone(), id);
        }
        Ok(Self { texts, types, ids })
    }

    /// Sets the types of byte tokens and of the unknown token.
    pub(super) fn mark_pieces(&mut self, unknown: Option<&str>) {
        for (text, kind) in self.texts.iter().zip(&mut self.types) {
            let is_byte = text.len() == 6 && text.starts_with("<0x") && text.ends_with('>');
            if is_byte && *kind != token_type::UNUSED {
                *kind = token_type::BYTE;
            }
            if Some(text.as_str()) == unknown {
                *kind = token_type::UNKNOWN;
            }
        }
    }

    pub(super) fn write(&self, metadata: &mut Metadata<'static>) {
        let texts = GgufArray::of_texts(self.texts.iter());
        metadata.set("tokenizer.ggml.tokens", GgufValue::Array(texts));
        let types: Vec<GgufValue<'_>> =
            self.types.iter().map(|&kind| GgufValue::I32(kind)).collect();
        if let Some(types) = GgufArray::of(&types) {
            metadata.set("tokenizer.ggml.token_type", GgufValue::Array(types));
        }
    }
}

impl Merge {
    pub(super) fn joined(&self) -> String {
        match self {
            Self::Joined(text) => text.clone(),
            Self::Pair(left, right) => format!("{left} {right}"),
        }
    }

    /// The token that the merge produces.
    fn result(&self) -> String {
        match self {
            // Separated by a space; tokens of such a vocabulary contain none.
            Self::Joined(text) => text.replacen(' ', "", 1),
            Self::Pair(left, right) => format!("{left}{right}"),
        }
    }
}

/// The score of a token: minus the rank of the first merge that produces it; 0 for tokens that no
/// merge produces.
pub(super) fn scores(words: &Words, tokens: &Tokens) -> Vec<GgufValue<'static>> {
    let mut scores = vec![0.0_f32; tokens.texts.len()];
    let mut rank = 0.0;
    let mut is_ranked = vec![false; scores.len()];
    for merge in &words.model.merges {
        let Some(&id) = tokens.ids.get(&merge.result()) else { continue };
        if !std::mem::replace(&mut is_ranked[id], true) {
            rank -= 1.0;
            scores[id] = rank;
        }
    }
    scores.into_iter().map(GgufValue::F32).collect()
}
