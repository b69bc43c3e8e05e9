//! Keys that change what a model computes, and whether they are supported.

use serde_json::Value;

use super::ConfigError;
use super::keys::Keys;
use crate::architecture::{Fixed, Traits};

/// The nonlinearity of an MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    Silu,
    Gelu,
    /// GELU with a hyperbolic tangent in place of the error function.
    GeluTanh,
    Relu,
}

pub(super) fn activation(keys: Keys<'_>, traits: &Traits) -> Result<Activation, ConfigError> {
    let key = traits.keys.activation;
    let name = keys.present(key).map_or(Some(traits.defaults.activation), Value::as_str);
    match name {
        Some("silu" | "swish") => Ok(Activation::Silu),
        Some("gelu") => Ok(Activation::Gelu),
        Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Ok(Activation::GeluTanh),
        Some("relu") => Ok(Activation::Relu),
        _ => Err(ConfigError::Unsupported {
            key,
            value: keys.present(key).map_or_else(String::new, Value::to_string),
            expected: "\"silu\", \"gelu\", \"gelu_new\", \"gelu_pytorch_tanh\" or \"relu\"",
        }),
    }
}

/// Rejects unsupported features that change the result.
pub(super) fn refuse_unsupported(keys: Keys<'_>, traits: &Traits) -> Result<(), ConfigError> {
    refuse_quantized(keys)?;
    refuse_other_heads(keys)?;
    for &key in traits.required {
        if keys.present(key).is_none() {
            return Err(ConfigError::Required { key, model_type: traits.model_type });
        }
    }
    for fixed in traits.fixed.iter().chain(&[Fixed::Flag("is_encoder_decoder", false)]) {
        let (key, expected) = match *fixed {
            Fixed::Flag(key, expected) => (key, Value::from(expected)),
            Fixed::Word(key, expected) => (key, Value::from(expected)),
        };
        if let Some(value) = keys.present(key).filter(|value| **value != expected) {
            return Err(ConfigError::Unsupported {
                key,
                value: value.to_string(),
                expected: match *fixed {
                    Fixed::Flag(_, true) => "true",
                    Fixed::Flag(_, false) => "false",
                    Fixed::Word(_, expected) => expected,
                },
            });
        }
    }
    // transformers 5 reads per-layer settings from this key.
    if let Some(value) = keys.present("per_layer_config").filter(|value| !is_empty(value)) {
        return Err(ConfigError::Unsupported {
            key: "per_layer_config",
            value: value.to_string(),
            expected: "the same settings for every layer",
        });
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Keys in the `config.json` of quantized models; any value except null counts.
const QUANTIZED: [&str; 5] =
    ["quantization_config", "compression_config", "quantization", "quant_config", "quant_method"];

fn refuse_quantized(keys: Keys<'_>) -> Result<(), ConfigError> {
    let Some((key, value)) = QUANTIZED.iter().find_map(|&key| Some((key, keys.present(key)?)))
    else {
        return Ok(());
    };
    let method = ["quant_method", "quant_algo", "method", "format"].map(|key| value.get(key));
    let method = method.into_iter().flatten().find_map(Value::as_str).or(value.as_str());
    Err(ConfigError::Quantized {
        method: method.unwrap_or("an unnamed method").to_owned(),
        marker: format!("{key} in config.json"),
    })
}

/// Suffixes of class names of models without a language-modeling head, and the kind of model.
const OTHER_HEADS: [(&str, &str); 6] = [
    ("RewardModel", "a reward model"),
    ("ForSequenceClassification", "a sequence classifier or reward model"),
    ("ForTokenClassification", "a token classifier"),
    ("ForQuestionAnswering", "a question-answering model"),
    ("ForMultipleChoice", "a multiple-choice model"),
    ("ForNextSentencePrediction", "a next-sentence classifier"),
];

fn refuse_other_heads(keys: Keys<'_>) -> Result<(), ConfigError> {
    let classes = keys.present("architectures").and_then(Value::as_array).into_iter().flatten();
    for class in classes.filter_map(Value::as_str) {
        if let Some((_, found)) = OTHER_HEADS.iter().find(|row| class.ends_with(row.0)) {
            let marker = format!("architectures has {class:?}");
            return Err(ConfigError::NoHead { found, marker });
        }
    }
    Ok(())
}
