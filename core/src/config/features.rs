//! Keys that change what a model computes, and whether we can follow.

use serde_json::Value;

use super::ConfigError;
use super::keys::Keys;
use crate::architecture::{Objective, Traits};

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

/// Stops at the features that would change the result if they were ignored.
pub(super) fn refuse_unsupported(keys: Keys<'_>, traits: &Traits) -> Result<(), ConfigError> {
    let for_all: [(&'static str, Value, &'static str); 5] = [
        ("scale_attn_weights", true.into(), "true"),
        ("scale_attn_by_inverse_layer_idx", false.into(), "false"),
        ("use_bidirectional_attention", false.into(), "false"),
        ("add_cross_attention", false.into(), "false"),
        ("is_encoder_decoder", false.into(), "false"),
    ];
    let for_masked = [
        ("is_decoder", false.into(), "false"),
        ("position_embedding_type", "absolute".into(), "\"absolute\""),
    ];
    let is_masked = traits.objective == Objective::MaskedToken;
    let rows = for_all.into_iter().chain(for_masked.into_iter().filter(|_| is_masked));
    for (key, supported, expected) in rows {
        if let Some(value) = keys.present(key).filter(|value| **value != supported) {
            return Err(ConfigError::Unsupported { key, value: value.to_string(), expected });
        }
    }
    if let Some(value) = keys.present("quantization_config") {
        let method = value.get("quant_method").unwrap_or(value).to_string();
        return Err(ConfigError::Unsupported {
            key: "quantization_config",
            value: method,
            expected: "weights in f32, f16 or bf16",
        });
    }
    Ok(())
}
