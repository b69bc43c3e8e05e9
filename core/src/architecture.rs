//! What differs between the architectures that one decoder covers, as data.
//!
//! Adding an architecture of the Llama shape means one row here, one in `checkpoint/names.rs`, and
//! a fixture; `forward` never asks which architecture it runs.

use serde::{Deserialize, Serialize};

use crate::plan::PatchOrder;

/// A family of checkpoints with the same parts, in Hugging Face's sense of `model_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Architecture {
    Llama,
    Qwen2,
    Qwen3,
}

/// When a projection has a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    Always,
    Never,
    /// When `config.json` has this key set to true.
    Key(&'static str),
}

/// Which norms the reference implementation's optimizer does not decay.
///
/// transformers 4.51.3 exempts modules of class `LlamaRMSNorm` and tensors whose name contains
/// `layernorm`, so that the same norm is decayed in one architecture and not in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndecayedNorms {
    All,
    BeforeAttentionAndMlp,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// `model_type` in `config.json`.
    pub model_type: &'static str,
    pub query_key_norm: bool,
    pub query_key_value_bias: Bias,
    pub attention_output_bias: Bias,
    pub mlp_bias: Bias,
    pub undecayed_norms: UndecayedNorms,
}

impl Architecture {
    pub const ALL: [Self; 3] = [Self::Llama, Self::Qwen2, Self::Qwen3];

    pub fn from_model_type(model_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.traits().model_type == model_type)
    }

    pub fn traits(self) -> Traits {
        match self {
            Self::Llama => Traits {
                model_type: "llama",
                query_key_norm: false,
                query_key_value_bias: Bias::Key("attention_bias"),
                attention_output_bias: Bias::Key("attention_bias"),
                mlp_bias: Bias::Key("mlp_bias"),
                undecayed_norms: UndecayedNorms::All,
            },
            Self::Qwen2 => Traits {
                model_type: "qwen2",
                query_key_norm: false,
                query_key_value_bias: Bias::Always,
                attention_output_bias: Bias::Never,
                mlp_bias: Bias::Never,
                undecayed_norms: UndecayedNorms::BeforeAttentionAndMlp,
            },
            Self::Qwen3 => Traits {
                model_type: "qwen3",
                query_key_norm: true,
                query_key_value_bias: Bias::Key("attention_bias"),
                attention_output_bias: Bias::Key("attention_bias"),
                mlp_bias: Bias::Never,
                undecayed_norms: UndecayedNorms::BeforeAttentionAndMlp,
            },
        }
    }

    /// The order that the paper found best for the family; a search may find a better one.
    pub fn default_order(self) -> PatchOrder {
        match self {
            Self::Llama => PatchOrder::First,
            Self::Qwen2 | Self::Qwen3 => PatchOrder::Last,
        }
    }
}
