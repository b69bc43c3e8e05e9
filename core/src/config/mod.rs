//! The numbers of a model, from a Hugging Face `config.json`, checked once.
//!
//! Hugging Face's key names stay in this folder, in `architecture/table.rs` and in
//! `checkpoint/names.rs`.

mod ends;
mod features;
mod generations;
mod keys;
mod layers;
mod rotary;
mod size;

use serde_json::{Map, Value};
use thiserror::Error;

pub use features::Activation;
pub use layers::LayerKind;
pub use rotary::{RopeScaling, Rotary};

use crate::architecture::{Architecture, Objective, PositionRule, ResidualRule, Traits};
use crate::plan::Owner;
use keys::Keys;

/// The shape of a model. Every size is at least 1, and `n_kv_heads` divides `n_heads`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    pub architecture: Architecture,
    pub vocab: usize,
    pub d_model: usize,
    pub d_ff: usize,
    pub d_head: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    /// One for each layer.
    pub layers: Vec<LayerKind>,
    /// What layers turn their queries and keys by; see [`LayerKind::rotary`].
    pub rotary: Vec<Rotary>,
    pub norm_epsilon: f64,
    pub activation: Activation,
    /// Attention and MLP of a layer read the same input.
    pub parallel: bool,
    /// Attention scores are multiplied by this.
    pub attention_scale: f64,
    /// Scores and logits are bent to stay below, as `cap * tanh(x / cap)`.
    pub attention_softcap: Option<f64>,
    pub logit_softcap: Option<f64>,
    /// Positions the model was made for; longer inputs are refused.
    pub max_seq: usize,
    /// Whether the head is the embedding matrix.
    pub tied: bool,
    pub query_key_value_bias: bool,
    pub attention_output_bias: bool,
    pub mlp_bias: bool,
    /// Kinds of text that have a vector of their own; 0 where texts have no kind.
    pub n_token_types: usize,
    /// See [`ModelConfig::end_tokens`].
    end_tokens: Vec<u32>,
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
        let (names, defaults) = (traits.keys, &traits.defaults);

        features::refuse_unsupported(keys, traits)?;
        let d_model = keys.size(names.d_model)?;
        let n_heads = keys.size(names.n_heads)?;
        let n_kv_heads = keys.size_or("num_key_value_heads", Some(n_heads))?;
        if n_heads % n_kv_heads != 0 {
            return Err(ConfigError::Invalid {
                key: "num_key_value_heads",
                found: n_kv_heads.to_string(),
                expected: "a divisor of num_attention_heads",
            });
        }
        let d_head = defaults.d_head.unwrap_or((d_model / n_heads).max(1));
        let d_head = keys.size_or("head_dim", Some(d_head))?;
        // With this, no number of parameters overflows.
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
        let softcap = |key: &'static str, default: Option<f64>| match json.get(key) {
            None => Ok(default),
            Some(_) => keys.positive(key),
        };
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
            rotary: rotary::read(keys, traits, d_head, max_seq)?,
            norm_epsilon: keys.positive(names.norm_epsilon)?.unwrap_or(defaults.norm_epsilon),
            activation: features::activation(keys, traits)?,
            parallel,
            attention_scale: divisor.powf(-0.5),
            attention_softcap: softcap("attn_logit_softcapping", defaults.attention_softcap)?,
            logit_softcap: softcap("final_logit_softcapping", defaults.logit_softcap)?,
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

    /// Whether the model predicts masked tokens from both sides, and continues no text.
    pub fn is_masked(&self) -> bool {
        self.traits().objective == Objective::MaskedToken
    }

    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// Of the configs of two parents that of their member: the teacher's, unless the two are of
    /// different architectures; then that of the embedding's owner, because one of them has parts
    /// there that the other lacks.
    pub fn of_member<'a>(teacher: &'a Self, student: &'a Self, embedding: Owner) -> &'a Self {
        let differ = teacher.architecture != student.architecture;
        if differ && embedding == Owner::Student { student } else { teacher }
    }

    /// The same model with other layers, and with or without a head of its own.
    ///
    /// Lists with an entry for each layer (`layer_types`) follow; every other key stays, and what only
    /// transformers 5 would find is said to transformers 4 too.
    pub fn with_layers(&self, layers: Vec<LayerKind>, tied: bool) -> Self {
        let mut json = self.json.clone();
        json.insert(self.traits().keys.n_layers.into(), layers.len().into());
        json.insert("tie_word_embeddings".into(), tied.into());
        layers::write(&mut json, self.traits(), &layers);
        generations::write_older_keys(&mut json, self.traits());
        Self { layers, tied, json, ..self.clone() }
    }

    /// The same model with these of its layers.
    ///
    /// # Panics
    /// When `kept` names a layer that the model does not have.
    pub fn keeping(&self, kept: &[usize]) -> Self {
        self.with_layers(kept.iter().map(|&layer| self.layers[layer]).collect(), self.tied)
    }

    /// Says in which number format the weights are; under the keys that the file has for it.
    pub fn set_dtype(&mut self, name: &str) {
        if self.json.contains_key("dtype") {
            self.json.insert("dtype".to_owned(), name.into());
        }
        self.json.insert("torch_dtype".to_owned(), name.into());
    }

    /// `config.json` as transformers reads it.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", Value::Object(self.json.clone()))
    }

    /// Whether layers of the two models fit in one stack; the number of layers and the tie of the
    /// head may differ. Returns the first difference as a sentence.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let names = self.traits().keys;
        if !self.architecture.shares_layers_with(other.architecture) {
            let types = (self.traits().model_type, other.traits().model_type);
            return Some(format!("model_type {:?} and {:?}", types.0, types.1));
        }
        let sizes = [
            ("vocab_size", self.vocab, other.vocab),
            (names.d_model, self.d_model, other.d_model),
            (names.d_ff, self.d_ff, other.d_ff),
            ("head_dim", self.d_head, other.d_head),
            (names.n_heads, self.n_heads, other.n_heads),
            ("num_key_value_heads", self.n_kv_heads, other.n_kv_heads),
        ];
        if let Some((key, left, right)) = sizes.into_iter().find(|row| row.1 != row.2) {
            return Some(format!("{key} {left} and {right}"));
        }
        if self.traits().positions == PositionRule::Learned && self.max_seq != other.max_seq {
            return Some(format!("{} {} and {}", names.max_seq, self.max_seq, other.max_seq));
        }
        let numbers = |config: &Self| {
            [
                Some(config.norm_epsilon),
                Some(config.attention_scale),
                config.attention_softcap,
                config.logit_softcap,
            ]
        };
        let flags = |config: &Self| {
            [
                config.parallel,
                config.query_key_value_bias,
                config.attention_output_bias,
                config.mlp_bias,
            ]
        };
        if self.rotary != other.rotary {
            let (left, right) = (self.rotary.first(), other.rotary.first());
            return Some(match (left, right) {
                (Some(left), Some(right)) if left.theta != right.theta => {
                    format!("{} {} and {}", names.rope_theta, left.theta, right.theta)
                }
                _ => "other rotary embeddings".to_owned(),
            });
        }
        let is_alike = numbers(self) == numbers(other)
            && flags(self) == flags(other)
            && self.activation == other.activation;
        (!is_alike).then(|| "other biases, activations or scales in config.json".to_owned())
    }
}

fn supported_model_types() -> String {
    Architecture::ALL.map(|architecture| architecture.traits().model_type).join(", ")
}

#[cfg(test)]
mod tests;
