//! The tokenizer in a GGUF file as the files that transformers reads.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::split::pre_tokenizer;
use super::vocabulary::token_type;
use crate::gguf::{GgufError, GgufValue, Metadata};

/// `tokenizer.json` and `tokenizer_config.json` of a file.
#[derive(Debug)]
pub struct ImportedTokenizer {
    pub tokenizer: String,
    /// With the chat template, if there is one.
    pub tokenizer_config: String,
}

/// The longest token that is taken apart, in bytes; known vocabularies stay far below it.
const MAX_TOKEN_BYTES: usize = 1024;
/// Known vocabularies have two or three merges for each token.
const MAX_MERGES_PER_TOKEN: usize = 32;

/// The vocabulary as it is stored.
struct Stored<'a> {
    tokens: Vec<&'a str>,
    types: Vec<i32>,
}

/// The tokenizer of a file whose embedding has `n_rows` rows; `None` where it has none.
///
/// # Errors
/// [`GgufError::StoredTokenizer`] names what is missing or not understood.
pub fn import_tokenizer(
    metadata: &Metadata<'_>,
    n_rows: usize,
) -> Result<Option<ImportedTokenizer>, GgufError> {
    let model = match metadata.get("tokenizer.ggml.model") {
        None => return Ok(None),
        Some(GgufValue::Text(_)) => metadata.text("tokenizer.ggml.model"),
        Some(other) => return Err(refusal(format!("its model is {}", other.describe()))),
    };
    let model = model.ok_or_else(|| refusal("the name of its model is not UTF-8"))?;
    if model == "none" || model == "no_vocab" {
        return Ok(None);
    }
    let values = |key: &str| -> Option<Vec<GgufValue<'_>>> {
        Some(metadata.get(&format!("tokenizer.ggml.{key}"))?.as_array()?.values().collect())
    };
    let texts = |key: &str| -> Result<Vec<String>, GgufError> {
        let values = values(key).ok_or_else(|| refusal(format!("it has no {key}")))?;
        let text = |value: &GgufValue<'_>| value.as_text().map(str::to_owned);
        let texts = values.iter().map(text).collect::<Option<Vec<String>>>();
        texts.ok_or_else(|| refusal(format!("its {key} are not texts in UTF-8")))
    };
    let tokens = texts("tokens")?;
    if tokens.len() > n_rows {
        return Err(refusal(format!("{} tokens for {n_rows} rows of the embedding", tokens.len())));
    }
    let number = |value: &GgufValue<'_>| match value {
        GgufValue::I32(number) => *number,
        other => other.as_size().map_or(token_type::NORMAL, |number| number as i32),
    };
    let types = values("token_type")
        .map_or(vec![token_type::NORMAL; tokens.len()], |types| types.iter().map(number).collect());
    if types.len() != tokens.len() {
        return Err(refusal(format!("{} token types for {} tokens", types.len(), tokens.len())));
    }
    let stored = Stored { tokens: tokens.iter().map(String::as_str).collect(), types };
    let pre = metadata.text("tokenizer.ggml.pre").unwrap_or("default");
    let mut tokenizer = match model {
        "gpt2" => byte_level(&stored, &texts("merges")?, pre)?,
        "llama" => {
            let scores = values("scores").ok_or_else(|| refusal("it has no scores"))?;
            let score = |value: &GgufValue<'_>| match value {
                GgufValue::F32(score) => *score,
                _ => 0.0,
            };
            let has_prefix = flag(metadata, "add_space_prefix")?.unwrap_or(true);
            sentence_piece(&stored, &scores.iter().map(score).collect::<Vec<_>>(), has_prefix)?
        }
        other => {
            let found = GgufValue::text(other).describe();
            return Err(refusal(format!("its model is {found}; expected gpt2 or llama")));
        }
    };
    tokenizer["added_tokens"] = stored.added();
    let special = |name: &str| {
        let id = special_id(metadata, name)?;
        Some((stored.tokens.get(id)?.to_string(), id))
    };
    // llama.cpp's defaults.
    let has_bos = model == "llama" || LLAMA3.contains(&pre);
    let adds_bos = flag(metadata, "add_bos_token")?.unwrap_or(has_bos);
    let adds_eos = flag(metadata, "add_eos_token")?.unwrap_or(false);
    let around = |is_added: bool, name: &str| match is_added {
        false => Ok(None),
        true => special(name).map(Some).ok_or_else(|| {
            refusal(format!("it adds a {name} token to texts, and {name}_token_id names none"))
        }),
    };
    tokenizer["post_processor"] =
        post_processor(&[around(adds_bos, "bos")?, around(adds_eos, "eos")?]);
    let mut config = Map::new();
    for (key, name) in [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")] {
        if let Some((text, _)) = special(name) {
            config.insert(format!("{key}_token"), json!(text));
        }
    }
    config.insert("add_bos_token".to_owned(), json!(adds_bos));
    config.insert("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"));
    if let Some(template) = metadata.text("tokenizer.chat_template") {
        config.insert("chat_template".to_owned(), json!(template));
    }
    Ok(Some(ImportedTokenizer {
        tokenizer: tokenizer.to_string(),
        tokenizer_config: format!("{:#}", Value::Object(config)),
    }))
}

/// Pre-tokenizers with which llama.cpp adds a BOS token by default.
const LLAMA3: [&str; 3] = ["llama-bpe", "llama3", "llama-v3"];

/// The id of a special token, by its name in the metadata; a SentencePiece vocabulary that names none
/// has llama.cpp's.
pub(in crate::gguf) fn special_id(metadata: &Metadata<'_>, name: &str) -> Option<usize> {
    let named = metadata.get(&format!("tokenizer.ggml.{name}_token_id"));
    match (named, name) {
        (Some(id), _) => id.as_size(),
        _ if metadata.text("tokenizer.ggml.model") != Some("llama") => None,
        (None, "unknown") => Some(0),
        (None, "bos") => Some(1),
        (None, "eos") => Some(2),
        (None, _) => None,
    }
}

fn flag(metadata: &Metadata<'_>, name: &str) -> Result<Option<bool>, GgufError> {
    match metadata.get(&format!("tokenizer.ggml.{name}")) {
        None => Ok(None),
        Some(GgufValue::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => {
            Err(refusal(format!("{name} is {}; expected true or false", other.describe())))
        }
    }
}

fn refusal(reason: impl Into<String>) -> GgufError {
    GgufError::StoredTokenizer { reason: reason.into() }
}

impl Stored<'_> {
    /// Ids by text, without those that fill up the embedding.
    fn vocabulary(&self) -> Map<String, Value> {
        let all = self.tokens.iter().zip(&self.types).enumerate();
        let used = all.filter(|(_, (_, kind))| **kind != token_type::UNUSED);
        used.map(|(id, (text, _))| ((*text).to_owned(), json!(id))).collect()
    }

    fn added(&self) -> Value {
        let all = self.tokens.iter().zip(&self.types).enumerate();
        let added = all.filter(|(_, (_, kind))| {
            [token_type::CONTROL, token_type::USER_DEFINED].contains(kind)
        });
        let added = added.map(|(id, (text, kind))| {
            json!({"id": id, "content": text, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": *kind == token_type::CONTROL})
        });
        Value::Array(added.collect())
    }
}

fn byte_level(stored: &Stored<'_>, merges: &[String], pre: &str) -> Result<Value, GgufError> {
    let (steps, ignore_merges, normalizer) = pre_tokenizer(pre).ok_or_else(|| {
        refusal(format!(
            "its pre-tokenizer {} is not known, and would split texts differently",
            GgufValue::text(pre).describe()
        ))
    })?;
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": ignore_merges,
            "vocab": stored.vocabulary(), "merges": merges},
    }))
}

/// BPE whose merges are those that make tokens, the better the score the earlier, as transformers'
/// converter has it.
///
/// # Errors
/// When a vocabulary is unlike any that is known, and would take time and memory out of proportion.
fn sentence_piece(
    stored: &Stored<'_>,
    scores: &[f32],
    has_prefix: bool,
) -> Result<Value, GgufError> {
    let most = MAX_MERGES_PER_TOKEN * stored.tokens.len();
    let ids: HashMap<&str, usize> =
        stored.tokens.iter().enumerate().map(|(id, text)| (*text, id)).collect();
    let mut merges: Vec<(usize, [usize; 2])> = Vec::new();
    for (id, text) in stored.tokens.iter().enumerate() {
        if stored.types[id] != token_type::NORMAL {
            continue;
        }
        if text.len() > MAX_TOKEN_BYTES {
            return Err(refusal(format!(
                "its token {id} has {} bytes; expected at most {MAX_TOKEN_BYTES}",
                text.len()
            )));
        }
        let cuts = text.char_indices().skip(1).filter_map(|(cut, _)| {
            let (left, right) = text.split_at(cut);
            Some([*ids.get(left)?, *ids.get(right)?])
        });
        let mut cuts: Vec<[usize; 2]> = cuts.collect();
        cuts.sort_unstable();
        merges.extend(cuts.into_iter().map(|cut| (id, cut)));
        if merges.len() > most {
            return Err(refusal(format!(
                "its tokens up to {id} can be put together in {} ways; expected at most {most}, \
                 {MAX_MERGES_PER_TOKEN} for each token",
                merges.len()
            )));
        }
    }
    let score = |id: usize| scores.get(id).copied().unwrap_or(0.0);
    merges.sort_by(|(a, _), (b, _)| score(*b).total_cmp(&score(*a)));
    let merges: Vec<[&str; 2]> =
        merges.iter().map(|(_, cut)| cut.map(|id| stored.tokens[id])).collect();
    let unknown = stored.types.iter().position(|&kind| kind == token_type::UNKNOWN);
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let normalizers = match has_prefix {
        true => vec![json!({"type": "Prepend", "prepend": "▁"}), replace],
        false => vec![replace],
    };
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if has_prefix {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {"type": "BPE", "dropout": null,
            "unk_token": unknown.map(|id| stored.tokens[id]),
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false,
            "vocab": stored.vocabulary(), "merges": merges},
    }))
}

/// Special tokens before and after a text.
fn post_processor(around: &[Option<(String, usize)>; 2]) -> Value {
    let [before, after] = around;
    if before.is_none() && after.is_none() {
        return Value::Null;
    }
    let token = |token: &Option<(String, usize)>| {
        token.as_ref().map(|(text, _)| json!({"SpecialToken": {"id": text, "type_id": 0}}))
    };
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    let single: Vec<Value> =
        token(before).into_iter().chain([text("A")]).chain(token(after)).collect();
    let pair: Vec<Value> = single.iter().cloned().chain([text("B")]).collect();
    let special: Map<String, Value> = around
        .iter()
        .flatten()
        .map(|(text, id)| (text.clone(), json!({"id": text, "ids": [id], "tokens": [text]})))
        .collect();
    json!({"type": "TemplateProcessing", "single": single, "pair": pair,
        "special_tokens": special})
}
