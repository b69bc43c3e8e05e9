//! Converts a `tokenizer.json` to GGUF metadata, for the two kinds that llama.cpp tokenizes
//! identically.
//!
//! Byte-level BPE is defined by tokens, merges and the name of its pre-tokenizer.
//! SentencePiece-style BPE is defined by tokens and scores: the token of an earlier merge has a
//! higher score. Any other tokenizer is rejected; the file can be written without one.

mod import;
mod split;
mod vocabulary;

use serde::Deserialize;
use serde_json::Value;

use super::{GgufArray, GgufError, GgufValue, Metadata};
use crate::config::ModelConfig;
pub(super) use import::special_id;
pub use import::{ImportedTokenizer, import_tokenizer};
use split::{refuse_normalizer, sentence_piece_prefix, split_name};
use vocabulary::{Merge, Tokens, Words, scores};

/// The tokenizer files of a model.
#[derive(Clone, Copy, Debug)]
pub struct TokenizerFiles<'a> {
    pub tokenizer: &'a [u8],
    pub tokenizer_config: Option<&'a [u8]>,
    /// `chat_template.jinja`, which overrides the template in `tokenizer_config`.
    pub chat_template: Option<&'a str>,
    /// `chat_template.json`, used if no other file has a template.
    pub chat_template_json: Option<&'a [u8]>,
}

/// The parts of a `tokenizer.json` that decide its kind, before the vocabulary is read.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    model: ModelKind,
}

#[derive(Deserialize)]
struct ModelKind {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    unk_token: Option<String>,
}

/// The metadata of a tokenizer, and warnings for the user.
///
/// # Errors
/// [`GgufError::Tokenizer`] names what cannot be expressed.
pub fn describe_tokenizer(
    files: &TokenizerFiles<'_>,
    config: &ModelConfig,
) -> Result<(Metadata<'static>, Vec<String>), GgufError> {
    let kind: Kind = parse(files.tokenizer)?;
    let model = kind.model.kind.as_deref();
    if model.is_some_and(|model| model != "BPE") {
        return Err(refusal(format!("its model is {}, not BPE", model.unwrap_or_default())));
    }
    let words: Words = parse(files.tokenizer)?;
    let mut notes = Vec::new();
    let mut metadata = Metadata::default();
    let is_byte_level = steps(&kind.pre_tokenizer).iter().any(|step| step["type"] == "ByteLevel");
    let mut tokens = Tokens::of(&words, config.vocab)?;
    if is_byte_level {
        refuse_normalizer(&kind.normalizer)?;
        let name = split_name(&kind);
        if name.is_none() {
            notes.push(
                "the pre-tokenizer is not recognized; llama.cpp will use its default and may split \
                 some texts differently"
                    .to_owned(),
            );
        }
        metadata.set("tokenizer.ggml.model", GgufValue::text("gpt2"));
        metadata.set("tokenizer.ggml.pre", GgufValue::text(name.unwrap_or("default")));
        tokens.write(&mut metadata);
        let merges = words.model.merges.iter().map(Merge::joined);
        metadata.set("tokenizer.ggml.merges", GgufValue::Array(GgufArray::of_texts(merges)));
    } else {
        let has_prefix = sentence_piece_prefix(&kind)?;
        tokens.mark_pieces(kind.model.unk_token.as_deref());
        metadata.set("tokenizer.ggml.model", GgufValue::text("llama"));
        metadata.set("tokenizer.ggml.pre", GgufValue::text("default"));
        tokens.write(&mut metadata);
        let scores = GgufArray::of(&scores(&words, &tokens));
        if let Some(scores) = scores {
            metadata.set("tokenizer.ggml.scores", GgufValue::Array(scores));
        }
        metadata.set("tokenizer.ggml.add_space_prefix", GgufValue::Bool(has_prefix));
    }
    special_tokens(files, config, &kind, &tokens, &mut metadata)?;
    Ok((metadata, notes))
}

fn refusal(reason: impl Into<String>) -> GgufError {
    GgufError::Tokenizer { reason: reason.into() }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, GgufError> {
    serde_json::from_slice(json).map_err(|error| refusal(format!("tokenizer.json: {error}")))
}

/// The steps of a sequence, or the single step.
fn steps(value: &Value) -> Vec<&Value> {
    let lists = ["pretokenizers", "normalizers", "processors"];
    match lists.iter().find_map(|key| value.get(key)?.as_array()) {
        Some(list) => list.iter().flat_map(steps).collect(),
        None if value.is_null() => Vec::new(),
        None => vec![value],
    }
}

/// Special tokens, whether they are added to texts, and the chat template.
fn special_tokens(
    files: &TokenizerFiles<'_>,
    config: &ModelConfig,
    kind: &Kind,
    tokens: &Tokens,
    metadata: &mut Metadata<'static>,
) -> Result<(), GgufError> {
    let read = |name: &str, json: Option<&[u8]>| match json {
        None => Ok(Value::Null),
        Some(json) => {
            serde_json::from_slice(json).map_err(|error| refusal(format!("{name}: {error}")))
        }
    };
    let settings: Value = read("tokenizer_config.json", files.tokenizer_config)?;
    let template_file: Value = read("chat_template.json", files.chat_template_json)?;
    let model: Value = serde_json::from_str(&config.to_json()).unwrap_or_default();
    let rows = [
        ("bos_token", "bos_token_id"),
        ("eos_token", "eos_token_id"),
        ("unk_token", "unknown_token_id"),
        ("pad_token", "padding_token_id"),
    ];
    for (name, key) in rows {
        let setting = &settings[name];
        let text = setting.as_str().or_else(|| setting["content"].as_str());
        let named = text.and_then(|text| tokens.ids.get(text).copied());
        let numbered = || {
            let id = &model[format!("{name}_id")];
            let id = id.as_u64().or_else(|| id.get(0)?.as_u64())?;
            usize::try_from(id).ok().filter(|&id| id < config.vocab)
        };
        if let Some(id) = named.or_else(numbered) {
            metadata.set(format!("tokenizer.ggml.{key}"), GgufValue::U32(id as u32));
        }
    }
    let around = around(&kind.post_processor);
    let flag = |name: &str, default: bool| settings[name].as_bool().unwrap_or(default);
    let add_bos = flag("add_bos_token", around.0);
    metadata.set("tokenizer.ggml.add_bos_token", GgufValue::Bool(add_bos));
    if flag("add_eos_token", around.1) {
        metadata.set("tokenizer.ggml.add_eos_token", GgufValue::Bool(true));
    }
    let template = files
        .chat_template
        .or_else(|| template_in(&settings))
        .or_else(|| template_in(&template_file));
    if let Some(template) = template {
        metadata.set("tokenizer.chat_template", GgufValue::text(template));
    }
    Ok(())
}

/// The chat template in a settings file: a string, or the default one of several named templates.
fn template_in(settings: &Value) -> Option<&str> {
    let templates = &settings["chat_template"];
    let named = || {
        let mut templates = templates.as_array()?.iter();
        templates.find(|template| template["name"] == "default")?["template"].as_str()
    };
    templates.as_str().or_else(named)
}

/// Whether special tokens are added before and after a text.
fn around(post_processor: &Value) -> (bool, bool) {
    let template = steps(post_processor)
        .into_iter()
        .find_map(|step| step["single"].as_array())
        .map(Vec::as_slice)
        .unwrap_or_default();
    let is_token =
        |piece: Option<&Value>| piece.is_some_and(|piece| piece.get("SpecialToken").is_some());
    (is_token(template.first()), is_token(template.last()))
}

#[cfg(test)]
mod tests;
