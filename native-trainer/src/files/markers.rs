//! The BOS and EOS tokens of a model, found as transformers finds them.

use anyhow::Context as _;
use boomerang_core::evaluate::Markers;
use boomerang_core::tokenizer::Tokenizer;
use serde_json::Value;

use super::ModelFolder;
use crate::exit::Exit;

/// The default BOS and EOS tokens of a tokenizer class, used when its files name none.
struct Class {
    /// Prefix of the class name, and model types that use it.
    names: &'static [&'static str],
    bos: Option<&'static str>,
    eos: Option<&'static str>,
}

const CLASSES: &[Class] = &[
    Class { names: &["PreTrainedTokenizer", "smollm3"], bos: None, eos: None },
    Class {
        names: &["GPT2Tokenizer", "GPTNeoXTokenizer", "gpt2", "gpt_neox", "olmo2", "olmo3"],
        bos: Some("<|endoftext|>"),
        eos: Some("<|endoftext|>"),
    },
    Class { names: &["Qwen2Tokenizer", "qwen2", "qwen3"], bos: None, eos: Some("<|endoftext|>") },
    Class { names: &["GemmaTokenizer", "gemma"], bos: Some("<bos>"), eos: Some("<eos>") },
    Class {
        names: &[
            "LlamaTokenizer",
            "CodeLlamaTokenizer",
            "InternLM",
            "internlm",
            "llama",
            "mistral",
            "phi3",
        ],
        bos: Some("<s>"),
        eos: Some("</s>"),
    },
];

/// The markers of a model's tokenizer.
///
/// The window that goes with them is [`boomerang_core::config::ModelConfig::max_seq`], the key that
/// lm-evaluation-harness reads it from.
///
/// # Errors
/// When no file names a BOS or EOS token.
pub fn markers(folder: &ModelFolder, tokenizer: &Tokenizer) -> anyhow::Result<Markers> {
    let [config, map, model] = files(folder)?;
    let found = find(&config, &map, &model, tokenizer);
    found.ok_or_else(|| {
        Exit::Unusable.error(format!(
            "{}: no file names a BOS or EOS token; expected bos_token or eos_token in \
             tokenizer_config.json",
            folder.path().display()
        ))
    })
}

/// The EOS token of a model's tokenizer, else that of its config; `None` when no file names one.
///
/// # Errors
/// When a file cannot be read, or the token is outside the model's vocabulary.
pub fn eos_token(
    folder: &ModelFolder,
    tokenizer: Option<&Tokenizer>,
) -> anyhow::Result<Option<u32>> {
    let Some(tokenizer) = tokenizer else { return folder.eos_token() };
    let [config, map, model] = files(folder)?;
    let [_, eos] = named(&config, &map, &model, tokenizer);
    let Some(token) = eos.and_then(|eos| tokenizer.id(&eos)) else { return folder.eos_token() };
    let vocab = folder.config().vocab;
    if token as usize >= vocab {
        return Err(Exit::Unusable.error(format!(
            "{}: the tokenizer's EOS token {token} is outside the model's vocabulary, which ends at {}",
            folder.path().display(),
            vocab - 1
        )));
    }
    Ok(Some(token))
}

/// `tokenizer_config.json`, `special_tokens_map.json` and `config.json`; null for a missing file.
fn files(folder: &ModelFolder) -> anyhow::Result<[Value; 3]> {
    let json = |name: &str| -> anyhow::Result<Value> {
        let Some(bytes) = folder.extra(name)? else { return Ok(Value::Null) };
        let file = || format!("{name} of {}", folder.path().display());
        serde_json::from_slice(&bytes).with_context(file)
    };
    let model = serde_json::from_str(&folder.config().to_json())?;
    Ok([json("tokenizer_config.json")?, json("special_tokens_map.json")?, model])
}

/// BOS and EOS as text, from the tokenizer's own files, else from its class.
fn named(config: &Value, map: &Value, model: &Value, tokenizer: &Tokenizer) -> [Option<String>; 2] {
    let class = config.get("tokenizer_class").or_else(|| model.get("model_type"));
    let class = class.and_then(Value::as_str).unwrap_or_default();
    let class = CLASSES.iter().find(|known| known.names.iter().any(|name| class.starts_with(name)));
    // Older tokenizers have only the map; newer configs list their added tokens themselves.
    let is_new = config.get("added_tokens_decoder").is_some();
    let token = |key: &str, default: Option<&str>| {
        let files = if is_new { [config, config] } else { [map, config] };
        let named = files.iter().find_map(|file| file.get(key));
        let written = match named {
            Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(token) => token.get("content").and_then(Value::as_str).map(str::to_owned),
            None => default.map(str::to_owned),
        };
        written.filter(|text| tokenizer.id(text).is_some())
    };
    [
        token("bos_token", class.and_then(|class| class.bos)),
        token("eos_token", class.and_then(|class| class.eos)),
    ]
}

fn find(config: &Value, map: &Value, model: &Value, tokenizer: &Tokenizer) -> Option<Markers> {
    let [bos, eos] = named(config, map, model, tokenizer);
    // With only a tokenizer.json, the ids in the model's config remain.
    let by_id = |key: &str| {
        let id = model.get(key).and_then(|id| id.as_u64().or_else(|| id.get(0)?.as_u64()))?;
        tokenizer.token(u32::try_from(id).ok()?)
    };
    let is_named = bos.is_some() || eos.is_some();
    let (bos, eos) =
        if is_named { (bos, eos) } else { (by_id("bos_token_id"), by_id("eos_token_id")) };
    let prefix = bos.as_deref().or(eos.as_deref())?;
    Some(Markers { prefix: tokenizer.id(prefix)?, bos, eos })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tokenizer() -> Tokenizer {
        let json = json!({"version": "1.0", "added_tokens": [], "model": {"type": "WordLevel",
            "unk_token": "?", "vocab": {"?": 0, "<s>": 1, "</s>": 2, "<|endoftext|>": 3}}});
        Tokenizer::from_json(json.to_string().as_bytes()).unwrap()
    }

    fn found(config: Value, map: Value, model: Value) -> Option<(u32, Option<String>)> {
        find(&config, &map, &model, &tokenizer()).map(|markers| (markers.prefix, markers.bos))
    }

    #[test]
    fn the_files_name_them_and_the_class_where_they_do_not() {
        let model = json!({"model_type": "llama", "bos_token_id": 3, "eos_token_id": [2, 3]});
        let config = json!({"bos_token": null, "eos_token": {"content": "</s>"}});
        assert_eq!(found(config, Value::Null, model.clone()), Some((2, None)));
        assert_eq!(
            found(Value::Null, Value::Null, model.clone()),
            Some((1, Some("<s>".to_owned())))
        );
        let config = json!({"tokenizer_class": "Qwen2Tokenizer", "bos_token": null});
        assert_eq!(found(config, Value::Null, model.clone()), Some((3, None)));
        let config = json!({"tokenizer_class": "PreTrainedTokenizerFast"});
        assert_eq!(
            found(config.clone(), json!({"bos_token": "<s>"}), model.clone()),
            Some((1, Some("<s>".to_owned())))
        );
        assert_eq!(found(config, Value::Null, model), Some((3, Some("<|endoftext|>".to_owned()))));
    }

    #[test]
    fn a_token_that_the_vocabulary_lacks_is_none() {
        let config = json!({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "[X]"});
        assert_eq!(found(config, Value::Null, json!({})), None);
    }
}
