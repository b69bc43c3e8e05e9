//! Texts from files, ready to be scored.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use boomerang_core::evaluate::{MaskedText, TextDoc};
use boomerang_core::tokenizer::Tokenizer;
use serde_json::Value;

use crate::files;

/// Texts as tokens; one document a file, or a line of `.jsonl`.
///
/// A tokenizer that puts nothing before a text leaves its first token without context; then
/// `first_token` (end-of-text) goes there, as in lm-evaluation-harness.
pub(super) fn read_texts(
    paths: &[PathBuf],
    tokenizer: Option<&Tokenizer>,
    first_token: Option<u32>,
) -> anyhow::Result<Vec<TextDoc>> {
    let encode = |text: &str| -> anyhow::Result<TextDoc> {
        let tokenizer = tokenizer.context(NO_TOKENIZER)?;
        let mut tokens = tokenizer.encode(text, true)?;
        let bare = tokenizer.encode(text, false)?;
        if tokens.len() == bare.len()
            && let Some(first) = first_token
        {
            tokens.insert(0, first);
        }
        Ok(TextDoc { tokens, n_bytes: text.len() })
    };
    let mut texts = Vec::new();
    for path in paths {
        let file = files::read_text(path)?;
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            texts.push(encode(&file).with_context(|| path.display().to_string())?);
            continue;
        }
        for (number, line) in file.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let read = || -> anyhow::Result<TextDoc> {
                let value: Value = serde_json::from_str(line)?;
                match value.get("text").and_then(Value::as_str) {
                    Some(text) => encode(text),
                    None => {
                        let ids = value.get("input_ids").cloned().unwrap_or(Value::Null);
                        let tokens: Vec<u32> = serde_json::from_value(ids)
                            .context("expected \"text\" or \"input_ids\"")?;
                        Ok(TextDoc { n_bytes: 0, tokens })
                    }
                }
            };
            let text = read().with_context(|| place(path, number))?;
            texts.push(text);
        }
    }
    Ok(texts)
}

/// The token that stands for a masked one.
pub(super) fn mask_token(tokenizer: Option<&Tokenizer>) -> anyhow::Result<u32> {
    let tokenizer = tokenizer.context(NO_TOKENIZER)?;
    ["[MASK]", "<mask>"].into_iter().find_map(|token| tokenizer.id(token)).context(
        "the tokenizer has neither [MASK] nor <mask>, one of which stands for a masked token",
    )
}

const NO_TOKENIZER: &str = "text needs a tokenizer.json beside the teacher";

/// Texts for a masked language model: each line of a `.txt` and each `text` of a `.jsonl`.
pub(super) fn read_masked_texts(
    paths: &[PathBuf],
    tokenizer: Option<&Tokenizer>,
) -> anyhow::Result<Vec<MaskedText>> {
    let tokenizer = tokenizer.context(NO_TOKENIZER)?;
    let mut texts = Vec::new();
    for path in paths {
        let file = files::read_text(path)?;
        let is_jsonl = path.extension().is_some_and(|extension| extension == "jsonl");
        for (number, line) in file.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let read = || -> anyhow::Result<MaskedText> {
                let value: Value;
                let text = if is_jsonl {
                    value = serde_json::from_str(line)?;
                    value.get("text").and_then(Value::as_str).context("expected \"text\"")?
                } else {
                    line
                };
                let (tokens, is_special) = tokenizer.encode_marked(text)?;
                Ok(MaskedText { tokens, is_special, n_bytes: text.len() })
            };
            texts.push(read().with_context(|| place(path, number))?);
        }
    }
    Ok(texts)
}

fn place(path: &Path, number: usize) -> String {
    format!("{}, line {}", path.display(), number + 1)
}
