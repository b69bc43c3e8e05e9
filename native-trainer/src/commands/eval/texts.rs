//! Texts from files, ready to be scored.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use boomerang_chat::ChatTemplate;
use boomerang_core::documents::{Content, Problem, TextUnit, encode, encode_marked};
use boomerang_core::evaluate::{MaskedText, TextDoc};
use boomerang_core::tokenizer::Tokenizer;

use crate::files::chat::rendered;
use crate::files::documents::read_documents;

/// Texts as tokens, and rows of ids without their padding.
///
/// A tokenizer that adds nothing before a text leaves its first token without context; then
/// `first_token` (end-of-text) is prepended, as in lm-evaluation-harness. Ids are used unchanged.
///
/// # Errors
/// Names the file and the line that cannot be used; when no token can be scored.
pub(super) fn read_texts(
    paths: &[PathBuf],
    tokenizer: Option<&Tokenizer>,
    template: Option<&ChatTemplate>,
    first_token: Option<u32>,
    vocab: usize,
) -> anyhow::Result<Vec<TextDoc>> {
    let mut texts = Vec::new();
    for document in read_documents(paths, TextUnit::File)? {
        let document = rendered(document, template)?;
        let from = &document.from;
        texts.push(match document.content {
            Content::Text(text) => {
                let mut tokens = encode(&text, from, tokenizer, vocab)?;
                let bare = tokenizer.map(|tokenizer| tokenizer.encode(&text, false)).transpose()?;
                if bare.is_some_and(|bare| bare.len() == tokens.len())
                    && let Some(first) = first_token
                {
                    tokens.insert(0, first);
                }
                TextDoc::new(tokens, text.len())
            }
            Content::Completion(text) => {
                let row = encode_marked(&text, from, tokenizer, vocab)?;
                TextDoc { is_label: row.is_label, ..TextDoc::new(row.ids, 0) }
            }
            Content::Conversation(_) => return Err(from.error(Problem::NoTemplate).into()),
            Content::Tokens(row) => {
                row.check_vocabulary(from, vocab)?;
                let is_label = row.is_label.map(|mut is_label| {
                    is_label.truncate(row.n_tokens);
                    is_label
                });
                let mut tokens = row.ids;
                tokens.truncate(row.n_tokens);
                TextDoc { is_label, ..TextDoc::new(tokens, 0) }
            }
        });
    }
    let is_scored = |text: &TextDoc| match &text.is_label {
        None => text.tokens.len() > 1,
        Some(is_label) => is_label.iter().skip(1).any(|&flag| flag),
    };
    ensure!(
        texts.is_empty() || texts.iter().any(is_scored),
        "the texts have no token to score; expected at least two tokens, and labels other than -100"
    );
    Ok(texts)
}

/// The mask token.
pub(super) fn mask_token(tokenizer: Option<&Tokenizer>) -> anyhow::Result<u32> {
    let tokenizer = tokenizer.context("text needs a tokenizer.json in the teacher's folder")?;
    ["[MASK]", "<mask>"]
        .into_iter()
        .find_map(|token| tokenizer.id(token))
        .context("the tokenizer has no mask token; expected [MASK] or <mask> in its vocabulary")
}

/// Texts for a masked language model: each line of a `.txt`, and each `text`.
///
/// # Errors
/// Names the file and the line that cannot be used.
pub(super) fn read_masked_texts(
    paths: &[PathBuf],
    tokenizer: Option<&Tokenizer>,
    vocab: usize,
) -> anyhow::Result<Vec<MaskedText>> {
    let mut texts = Vec::new();
    for document in read_documents(paths, TextUnit::Line)? {
        let from = &document.from;
        let Content::Text(text) = document.content else {
            return Err(from.error(Problem::IdsForMasked).into());
        };
        encode(&text, from, tokenizer, vocab)?;
        let marked = tokenizer.map(|tokenizer| tokenizer.encode_marked(&text)).transpose()?;
        let (tokens, is_special) = marked.unwrap_or_default();
        texts.push(MaskedText { tokens, is_special, n_bytes: text.len() });
    }
    Ok(texts)
}
