//! The numbers of a model, from a Hugging Face `config.json`, checked once.
//!
//! Hugging Face's key names stay in this file and in `checkpoint/names.rs`.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::architecture::{Architecture, Bias};

/// The shape of a decoder. Every size is at least 1, `n_kv_heads` divides `n_heads`, and `d_head`
/// is even.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    pub architecture: Architecture,
    pub vocab: usize,
    pub d_model: usize,
    pub d_ff: usize,
    pub d_head: usize,
    pub n_layers: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub norm_epsilon: f64,
    pub rope_theta: f64,
    /// Positions the model was made for; longer inputs are refused.
    pub max_seq: usize,
    /// Whether the head is the embedding matrix.
    pub tied: bool,
    pub query_key_norm: bool,
    pub query_key_value_bias: bool,
    pub attention_output_bias: bool,
    pub mlp_bias: bool,
    /// The file as it was read, so that what Boomerang does not know survives a round trip.
    json: Map<String, Value>,
}

/// Why a `config.json` is not a model that Boomerang can run.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("not a JSON object: {0}")]
    Json(String),
    #[error("key {key:?} is missing")]
    Missing { key: &'static str },
    #[error("key {key:?} is {found}; expected {expected}")]
    Invalid { key: &'static str, found: String, expected: &'static str },
    #[error("model_type {found:?} is not supported; supported: {}", supported_model_types())]
    Architecture { found: String },
    #[error("{key} = {value} is not supported; expected {expected}")]
    Unsupported { key: &'static str, value: String, expected: &'static str },
}

/// Larger sizes than any model has; a hostile file must not make us reserve memory for them.
const MAX_SIZE: u64 = 1 << 24;

impl ModelConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// [`ConfigError`] names the key, what was found and what is supported.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| ConfigError::Json(error.to_string()))?;
        let Value::Object(json) = value else {
            return Err(ConfigError::Json("expected { … } at the top".to_owned()));
        };
        Self::from_map(json)
    }

    fn from_map(json: Map<String, Value>) -> Result<Self, ConfigError> {
        let keys = Keys(&json);
        let model_type = json
            .get("model_type")
            .and_then(Value::as_str)
            .ok_or(ConfigError::Missing { key: "model_type" })?;
        let architecture = Architecture::from_model_type(model_type)
            .ok_or_else(|| ConfigError::Architecture { found: model_type.to_owned() })?;
        let traits = architecture.traits();

        keys.refuse_unsupported()?;
        let d_model = keys.size("hidden_size")?;
        let n_heads = keys.size("num_attention_heads")?;
        let n_kv_heads = keys.size_or("num_key_value_heads", n_heads)?;
        let d_head = keys.size_or("head_dim", (d_model / n_heads).max(1))?;
        if n_heads % n_kv_heads != 0 {
            return Err(ConfigError::Invalid {
                key: "num_key_value_heads",
                found: n_kv_heads.to_string(),
                expected: "a divisor of num_attention_heads",
            });
        }
        if d_head % 2 != 0 {
            return Err(ConfigError::Invalid {
                key: "head_dim",
                found: d_head.to_string(),
                expected: "an even number, for rotary embeddings",
            });
        }
        Ok(Self {
            architecture,
            vocab: keys.size("vocab_size")?,
            d_model,
            d_ff: keys.size("intermediate_size")?,
            d_head,
            n_layers: keys.size("num_hidden_layers")?,
            n_heads,
            n_kv_heads,
            norm_epsilon: keys.positive("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta: keys.rope_theta()?,
            max_seq: keys.size_or("max_position_embeddings", 2048)?,
            tied: keys.flag("tie_word_embeddings")?,
            query_key_norm: traits.query_key_norm,
            query_key_value_bias: keys.bias(traits.query_key_value_bias)?,
            attention_output_bias: keys.bias(traits.attention_output_bias)?,
            mlp_bias: keys.bias(traits.mlp_bias)?,
            json,
        })
    }

    /// The same model with another number of layers, and with or without a head of its own.
    ///
    /// Lists with an entry for each layer (`layer_types`) follow; every other key stays.
    pub fn resized(&self, n_layers: usize, tied: bool) -> Self {
        let mut json = self.json.clone();
        json.insert("num_hidden_layers".into(), n_layers.into());
        json.insert("tie_word_embeddings".into(), tied.into());
        if json.contains_key("layer_types") {
            // Only full attention passes `refuse_unsupported`, so every entry is the same.
            json.insert("layer_types".into(), vec!["full_attention"; n_layers].into());
        }
        if let Some(window) = json.get("max_window_layers").and_then(Value::as_u64) {
            json.insert("max_window_layers".into(), window.min(n_layers as u64).into());
        }
        Self { n_layers, tied, json, ..self.clone() }
    }

    /// `config.json` as transformers reads it.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", Value::Object(self.json.clone()))
    }

    /// The end-of-text token ids named in the file.
    pub fn end_tokens(&self) -> Vec<u32> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        match self.json.get("eos_token_id") {
            Some(Value::Array(ids)) => ids.iter().filter_map(id).collect(),
            Some(value) => id(value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Whether layers of the two models fit in one stack; the number of layers and the tie of the
    /// head may differ. Returns the first difference as a sentence.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let sizes = [
            ("vocab_size", self.vocab, other.vocab),
            ("hidden_size", self.d_model, other.d_model),
            ("intermediate_size", self.d_ff, other.d_ff),
            ("head_dim", self.d_head, other.d_head),
            ("num_attention_heads", self.n_heads, other.n_heads),
            ("num_key_value_heads", self.n_kv_heads, other.n_kv_heads),
        ];
        if self.architecture != other.architecture {
            let types = (self.architecture.traits(), other.architecture.traits());
            return Some(format!(
                "model_type {:?} and {:?}",
                types.0.model_type, types.1.model_type
            ));
        }
        for (key, left, right) in sizes {
            if left != right {
                return Some(format!("{key} {left} and {right}"));
            }
        }
        (self.rope_theta != other.rope_theta)
            .then(|| format!("rope_theta {} and {}", self.rope_theta, other.rope_theta))
    }
}

fn supported_model_types() -> String {
    Architecture::ALL.map(|architecture| architecture.traits().model_type).join(", ")
}

/// Typed access to the keys of one file.
struct Keys<'a>(&'a Map<String, Value>);

impl Keys<'_> {
    fn present(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn size(&self, key: &'static str) -> Result<usize, ConfigError> {
        let value = self.present(key).ok_or(ConfigError::Missing { key })?;
        match value.as_u64() {
            Some(size @ 1..=MAX_SIZE) => Ok(size as usize),
            _ => Err(ConfigError::Invalid {
                key,
                found: value.to_string(),
                expected: "a whole number from 1 to 16777216",
            }),
        }
    }

    fn size_or(&self, key: &'static str, default: usize) -> Result<usize, ConfigError> {
        if self.present(key).is_some() { self.size(key) } else { Ok(default) }
    }

    fn positive(&self, key: &'static str) -> Result<Option<f64>, ConfigError> {
        self.present(key).map(|value| positive(key, value)).transpose()
    }

    fn flag(&self, key: &'static str) -> Result<bool, ConfigError> {
        match self.present(key) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| ConfigError::Invalid {
                key,
                found: value.to_string(),
                expected: "true or false",
            }),
        }
    }

    fn bias(&self, bias: Bias) -> Result<bool, ConfigError> {
        match bias {
            Bias::Always => Ok(true),
            Bias::Never => Ok(false),
            Bias::Key(key) => self.flag(key),
        }
    }

    /// `rope_theta` of transformers 4, or inside `rope_parameters` of transformers 5.
    fn rope_theta(&self) -> Result<f64, ConfigError> {
        let nested = self.present("rope_parameters").and_then(|value| value.get("rope_theta"));
        match nested.or_else(|| self.present("rope_theta")) {
            Some(value) => positive("rope_theta", value),
            None => Ok(10_000.0),
        }
    }

    /// Stops at the features that would change the result if they were ignored.
    fn refuse_unsupported(&self) -> Result<(), ConfigError> {
        let unsupported = |key, value: &Value, expected| {
            Err(ConfigError::Unsupported { key, value: value.to_string(), expected })
        };
        if let Some(value) = self.present("hidden_act").filter(|value| *value != "silu") {
            return unsupported("hidden_act", value, "\"silu\"");
        }
        for key in ["rope_scaling", "rope_parameters"] {
            let Some(rope) = self.present(key) else { continue };
            let kind = rope.get("rope_type").or_else(|| rope.get("type"));
            if kind.is_some_and(|kind| kind != "default") {
                return unsupported(key, rope, "rope_type \"default\"");
            }
        }
        let partial = self.present("partial_rotary_factor");
        if let Some(value) = partial.filter(|value| value.as_f64() != Some(1.0)) {
            return unsupported("partial_rotary_factor", value, "1.0");
        }
        if let Some(value) = self.present("use_sliding_window").filter(|value| **value != false) {
            return unsupported("use_sliding_window", value, "false");
        }
        if let Some(Value::Array(types)) = self.present("layer_types")
            && let Some(other) = types.iter().find(|kind| *kind != "full_attention")
        {
            return unsupported("layer_types", other, "\"full_attention\" for every layer");
        }
        Ok(())
    }
}

fn positive(key: &'static str, value: &Value) -> Result<f64, ConfigError> {
    match value.as_f64() {
        Some(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err(ConfigError::Invalid {
            key,
            found: value.to_string(),
            expected: "a positive number",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"model_type": "qwen3", "hidden_size": 8, "intermediate_size": 12,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6, "num_hidden_layers": 3,
        "vocab_size": 11, "rope_theta": 1000000, "layer_types":
        ["full_attention", "full_attention", "full_attention"]}"#;

    fn with(key: &str, value: Value) -> String {
        let mut json: Map<String, Value> = serde_json::from_str(SMALL).unwrap();
        json.insert(key.to_owned(), value);
        Value::Object(json).to_string()
    }

    #[test]
    fn the_size_of_a_head_need_not_divide_the_model() {
        assert_eq!(ModelConfig::from_json(SMALL).unwrap().d_head, 6);
    }

    #[test]
    fn both_spellings_of_rope_theta_are_read() {
        let v5 =
            with("rope_parameters", serde_json::json!({"rope_theta": 5.0, "rope_type": "default"}));
        assert_eq!(ModelConfig::from_json(SMALL).unwrap().rope_theta, 1e6);
        assert_eq!(ModelConfig::from_json(&v5).unwrap().rope_theta, 5.0);
    }

    #[test]
    fn an_unknown_architecture_is_answered_with_the_known_ones() {
        let error = ModelConfig::from_json(&with("model_type", "mamba".into())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "model_type \"mamba\" is not supported; supported: llama, qwen2, qwen3"
        );
    }

    #[test]
    fn a_rope_that_is_not_implemented_is_refused() {
        let scaled =
            with("rope_scaling", serde_json::json!({"rope_type": "llama3", "factor": 8.0}));
        assert!(matches!(
            ModelConfig::from_json(&scaled),
            Err(ConfigError::Unsupported { key: "rope_scaling", .. })
        ));
    }

    #[test]
    fn absurd_sizes_are_refused_before_anything_is_reserved() {
        let error = ModelConfig::from_json(&with("vocab_size", u64::MAX.into())).unwrap_err();
        assert!(matches!(error, ConfigError::Invalid { key: "vocab_size", .. }));
    }

    #[test]
    fn lists_by_layer_follow_the_number_of_layers() {
        let resized = ModelConfig::from_json(SMALL).unwrap().resized(2, true);
        let again = ModelConfig::from_json(&resized.to_json()).unwrap();
        assert_eq!(again, resized);
        assert_eq!(again.json["layer_types"].as_array().unwrap().len(), 2);
    }
}
