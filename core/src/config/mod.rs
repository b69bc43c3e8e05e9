//! The hyperparameters of a model, from a Hugging Face `config.json`, checked once.
//!
//! Hugging Face's key names are used only in this folder, in `architecture/table.rs` and in
//! `checkpoint/names/`.

mod difference;
mod ends;
mod features;
mod generations;
mod keys;
mod layers;
mod remote_code;
mod rope_keys;
mod rotary;
mod size;

use serde_json::{Map, Value};
use thiserror::Error;

pub use features::Activation;
pub use layers::LayerKind;
pub use remote_code::code_files;
pub use rotary::{RopeScaling, Rotary};

use crate::architecture::{Architecture, Objective, PositionRule, ResidualRule, Traits};
use crate::plan::Owner;
use keys::Keys;

/// Architecture and hyperparameters of a model. Every size is at least 1, and `n_kv_heads` divides
/// `n_heads`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    pub architecture: Architecture,
    pub vocab: usize,
    pub d_model: usize,
    pub d_ff: usize,
    pub d_head: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    /// One entry per layer.
    pub layers: Vec<LayerKind>,
    /// Rotary embeddings that layers refer to by [`LayerKind::rotary`].
    pub rotary: Vec<Rotary>,
    pub norm_epsilon: f64,
    pub activation: Activation,
    /// Whether attention and MLP of a layer read the same input (parallel residual).
    pub parallel: bool,
    /// Attention scores are multiplied by this.
    pub attention_scale: f64,
    /// Softcap of attention scores: `cap * tanh(x / cap)`. The next one applies to logits.
    pub attention_softcap: Option<f64>,
    pub logit_softcap: Option<f64>,
    /// Context window; longer inputs are rejected.
    pub max_seq: usize,
    /// Whether the head is tied to the embedding matrix.
    pub tied: bool,
    pub query_key_value_bias: bool,
    pub attention_output_bias: bool,
    pub mlp_bias: bool,
    /// Number of token-type embeddings; 0 if the architecture has none.
    pub n_token_types: usize,
    /// See [`ModelConfig::end_tokens`].
    end_tokens: Vec<u32>,
    /// The original JSON, so that unknown keys survive a round trip.
    json: Map<String, Value>,
}

/// Why a `config.json` is not supported.
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
    #[error(
        "{key} = {value} is not supported; expected a rope_type supported for this architecture: \
         {expected}"
    )]
    RopeType { key: &'static str, value: String, expected: String },
    #[error(
        "key {key:?} is missing, and implementations of {model_type} differ in its default; add \
         the value that the model was trained with"
    )]
    Required { key: &'static str, model_type: &'static str },
    #[error("{keys} disagree: {values}; set both to the value that the model was trained with")]
    Disagree { keys: String, values: String },
    #[error(
        "{what} is {older} for transformers 4 and {newer} for transformers 5; set all of its keys \
         to the value that the model was trained with"
    )]
    TwoReadings { what: String, older: String, newer: String },
    #[error(
        "quantized with {method} (found: {marker}); Boomerang reads weights in f32, f16, bf16 and \
         unscaled 8-bit floats: use the model that it was quantized from, or save it dequantized"
    )]
    Quantized { method: String, marker: String },
    #[error(
        "this is {found} ({marker}), not a language model: it has no head over the vocabulary; use \
         the causal or masked language model that it is based on"
    )]
    NoHead { found: &'static str, marker: String },
}

impl ModelConfig {
    /// Parses a `config.json`.
    ///
    /// # Errors
    /// [`ConfigError`] names the key, the value found and the values supported.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| ConfigError::Json(error.to_string()))?;
        let Value::Object(json) = value else {
            return Err(ConfigError::Json("expected { … } at the top".to_owned()));
        };
        Self::from_map(json)
    }

    fn from_map(mut json: Map<String, Value>) -> Result<Self, ConfigError> {
        let model_type = json
            .get("model_type")
            .and_then(Value::as_str)
            .ok_or(ConfigError::Missing { key: "model_type" })?;
        let architecture = Architecture::from_model_type(model_type)
            .ok_or_else(|| ConfigError::Architecture { found: model_type.to_owned() })?;
        let traits = architecture.traits();
        let (names, defaults) = (traits.keys, &traits.defaults);
        keys::replace_aliases(&mut json, traits)?;
        let keys = Keys(&json);

        features::refuse_unsupported(keys, traits)?;
        let d_model = keys.size(names.d_model)?;
        let n_heads = keys.size(names.n_heads)?;
        let n_kv_heads = match names.n_kv_heads {
            Some(key) => keys.size_or(key, Some(n_heads))?,
            None => n_heads,
        };
        if n_heads % n_kv_heads != 0 {
            return Err(ConfigError::Invalid {
                key: "num_key_value_heads",
                found: n_kv_heads.to_string(),
                expected: "a divisor of num_attention_heads",
            });
        }
        let d_head = defaults.d_head.unwrap_or((d_model / n_heads).max(1));
        let d_head = match names.d_head {
            Some(key) => keys.size_or(key, Some(d_head))?,
            None => d_head,
        };
        // Rotary embeddings read the key even if the architecture does not.
        if names.d_head.is_none() && traits.positions != PositionRule::Learned {
            let found = keys.size_or("head_dim", Some(d_head))?;
            if found != d_head {
                let expected = "hidden_size / num_attention_heads: this architecture has no other \
                                head size";
                let found = found.to_string();
                return Err(ConfigError::Invalid { key: "head_dim", found, expected });
            }
        }
        // This bound prevents parameter counts from overflowing.
        if n_heads * d_head > keys::MAX_SIZE as usize {
            return Err(ConfigError::Invalid {
                key: "head_dim",
                found: d_head.to_string(),
                expected: "no more than 16777216 for all heads together",
            });
        }
        let max_seq = keys.size_or(names.max_seq, Some(defaults.max_seq))?;
        let divisor = match defaults.attention_divisor {
            Some(default) => keys.positive("query_pre_attn_scalar")?.unwrap_or(default),
            None => d_head as f64,
        };
        let softcap = |is_read: bool, key: &'static str, default: Option<f64>| match json.get(key) {
            Some(_) if is_read => keys.positive(key),
            _ => Ok(default),
        };
        let caps = traits.softcaps;
        let norm_epsilon = names.norm_epsilon.map(|key| keys.positive(key)).transpose()?.flatten();
        let parallel = match traits.residual {
            ResidualRule::Sequential => false,
            ResidualRule::ParallelUnless(key) => keys.flag(key, true)?,
        };
        let d_ff = defaults.d_ff_per_d_model.map(|factor| factor * d_model);
        Ok(Self {
            architecture,
            vocab: keys.size("vocab_size")?,
            d_model,
            d_ff: keys.size_or(names.d_ff, d_ff)?,
            d_head,
            n_heads,
            n_kv_heads,
            layers: layers::read(keys, traits, keys.n_layers(names.n_layers)?)?,
            rotary: rope_keys::read(keys, traits, d_head, max_seq)?,
            norm_epsilon: norm_epsilon.unwrap_or(defaults.norm_epsilon),
            activation: features::activation(keys, traits)?,
            parallel,
            attention_scale: divisor.powf(-0.5),
            attention_softcap: softcap(
                caps.scores,
                "attn_logit_softcapping",
                defaults.attention_softcap,
            )?,
            logit_softcap: softcap(caps.logits, "final_logit_softcapping", defaults.logit_softcap)?,
            max_seq,
            tied: keys.flag("tie_word_embeddings", defaults.tied)?,
            query_key_value_bias: keys.bias(traits.query_key_value_bias)?,
            attention_output_bias: keys.bias(traits.attention_output_bias)?,
            mlp_bias: keys.bias(traits.mlp_bias)?,
            n_token_types: if traits.token_types {
                keys.size_or("type_vocab_size", Some(2))?
            } else {
                0
            },
            end_tokens: ends::read(json.get("eos_token_id"))?,
            json,
        })
    }

    pub fn traits(&self) -> &'static Traits {
        self.architecture.traits()
    }

    /// Whether this is a masked language model, which cannot generate text.
    pub fn is_masked(&self) -> bool {
        self.traits().objective == Objective::MaskedToken
    }

    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// The config for a member of two parents: the teacher's, unless their architectures differ.
    /// Then it is that of the embedding's owner, because only one of them may have token-type
    /// embeddings.
    pub fn of_member<'a>(teacher: &'a Self, student: &'a Self, embedding: Owner) -> &'a Self {
        let differ = teacher.architecture != student.architecture;
        if differ && embedding == Owner::Student { student } else { teacher }
    }

    /// The same model with other layers, and with a tied or untied head.
    ///
    /// Lists with one entry per layer (`layer_types`) are updated, every other key is kept, and
    /// keys of transformers 5 are also written under their names in transformers 4.
    pub fn with_layers(&self, layers: Vec<LayerKind>, tied: bool) -> Self {
        let mut json = self.json.clone();
        json.insert(self.traits().keys.n_layers.into(), layers.len().into());
        json.insert("tie_word_embeddings".into(), tied.into());
        layers::write(&mut json, self.traits(), &layers);
        generations::write_older_keys(&mut json, self.traits());
        Self { layers, tied, json, ..self.clone() }
    }

    /// The windows that occur, each once; `None` for layers without one.
    pub(crate) fn windows(&self) -> Vec<Option<usize>> {
        let mut windows: Vec<Option<usize>> = self.layers.iter().map(|kind| kind.window).collect();
        windows.sort_unstable();
        windows.dedup();
        windows
    }

    /// The same model with only these layers.
    ///
    /// # Panics
    /// If `kept` names a layer that the model does not have.
    pub fn keeping(&self, kept: &[usize]) -> Self {
        self.with_layers(kept.iter().map(|&layer| self.layers[layer]).collect(), self.tied)
    }

    /// Sets the dtype of the weights, under each key that the file has for it.
    pub fn set_dtype(&mut self, name: &str) {
        if self.json.contains_key("dtype") {
            self.json.insert("dtype".to_owned(), name.into());
        }
        self.json.insert("torch_dtype".to_owned(), name.into());
    }

    /// The `config.json`, as transformers reads it.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", Value::Object(self.json.clone()))
    }
}

fn supported_model_types() -> String {
    Architecture::ALL.map(|architecture| architecture.traits().model_type).join(", ")
}

#[cfg(test)]
mod tests;
