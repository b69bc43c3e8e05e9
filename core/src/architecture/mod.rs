//! What differs between the architectures that one stack of layers covers, as data.
//!
//! Adding an architecture means one row in `table.rs`, one in `checkpoint/names/`, and a fixture;
//! `forward` never asks which architecture it runs.

mod table;

use serde::{Deserialize, Serialize};

use crate::plan::PatchOrder;

/// A family of checkpoints with the same parts, in Hugging Face's sense of `model_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Architecture {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
    SmolLm3,
    Olmo2,
    Phi3,
    Gemma2,
    Gemma3,
    InternLm2,
    InternLm3,
    GptNeox,
    Gpt2,
    Bert,
    DistilBert,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// `model_type` in `config.json`.
    pub model_type: &'static str,
    /// Under which keys `config.json` has the sizes.
    pub keys: &'static Keys,
    /// Other names for keys, which transformers reads as well: the other name, the key.
    pub aliases: &'static [(&'static str, &'static str)],
    /// Keys that have to be there, because the defaults of the family's implementations differ.
    pub required: &'static [&'static str],
    /// Keys that change the result unless they have this value.
    pub fixed: &'static [Fixed],
    pub objective: Objective,
    pub norm: Norms,
    pub residual: ResidualRule,
    pub query_key_norm: QueryKeyNorm,
    pub query_key_value_bias: Bias,
    pub attention_output_bias: Bias,
    pub mlp_bias: Bias,
    pub mlp: MlpKind,
    /// What `config.json` leaves out.
    pub defaults: Defaults,
    pub positions: PositionRule,
    /// The scalings of rotary embeddings (`rope_type`) that the family has and Boomerang computes.
    pub rope_types: &'static [&'static str],
    pub windows: WindowRule,
    pub softcaps: Softcaps,
    /// Token embeddings are multiplied by `sqrt(d_model)`.
    pub scales_embedding: bool,
    /// A norm follows the sum of all embeddings.
    pub normalizes_embedding: bool,
    /// A vector for the kind of text is added to each embedding; texts here are of kind 0.
    pub token_types: bool,
    /// transformers has no code for it, and runs the Python files that come with a checkpoint.
    pub needs_own_code: bool,
    pub undecayed_norms: UndecayedNorms,
}

/// Hugging Face's names for the numbers that every model has.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub d_model: &'static str,
    pub d_ff: &'static str,
    pub n_layers: &'static str,
    pub n_heads: &'static str,
    /// `None`: as many as heads.
    pub n_kv_heads: Option<&'static str>,
    /// `None`: `d_model / n_heads`.
    pub d_head: Option<&'static str>,
    pub max_seq: &'static str,
    /// `None`: always the default.
    pub norm_epsilon: Option<&'static str>,
    pub activation: &'static str,
    pub rope_theta: &'static str,
    /// The part of a head that is rotated; `None` for families that rotate all of it, whatever their
    /// config says.
    pub rotary_fraction: Option<&'static str>,
}

/// A key that a model may have, and the only value that is computed.
#[derive(Clone, Copy, Debug)]
pub enum Fixed {
    Flag(&'static str, bool),
    Word(&'static str, &'static str),
}

#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    pub norm_epsilon: f64,
    pub activation: &'static str,
    pub rope_theta: f64,
    pub rotary_fraction: f64,
    pub max_seq: usize,
    pub tied: bool,
    /// `None`: `d_model / n_heads`.
    pub d_head: Option<usize>,
    /// Positions before LongRoPE's long factors begin, if the config has a key for them beside the
    /// scaling.
    pub original_seq: Option<usize>,
    /// `None`: the file has to say `d_ff`.
    pub d_ff_per_d_model: Option<usize>,
    /// Window of the layers that have one.
    pub window: Option<usize>,
    /// `query_pre_attn_scalar`, of which scores are divided by the root; `None` where that is the
    /// size of a head.
    pub attention_divisor: Option<f64>,
    pub attention_softcap: Option<f64>,
    pub logit_softcap: Option<f64>,
}

/// Which norms a layer has, and how they compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Norms {
    pub kind: NormKind,
    /// Before attention and MLP.
    pub before: bool,
    /// After attention and MLP, before the result is added to the residual stream.
    pub after: bool,
    /// After the result was added: the stream itself is normalised (post-norm, arXiv:1706.03762).
    pub after_sum: bool,
}

/// What a model was trained to predict, and so what its positions may see and how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// The next token, from those before it; a final norm precedes the head.
    NextToken,
    /// Tokens that were masked, from all others; a dense layer with activation and norm precedes
    /// the head, and a bias is added to the logits.
    MaskedToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// `x / rms(x) * gamma`
    Rms,
    /// `x / rms(x) * (1 + gamma)`, as Gemma stores it.
    RmsAroundOne,
    /// `(x - mean(x)) / std(x) * gamma + beta`
    Layer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResidualRule {
    /// The MLP reads what attention has added to.
    Sequential,
    /// Attention and MLP read the same input when this key is true, as it is unless the file says
    /// otherwise.
    ParallelUnless(&'static str),
}

/// Norms of queries and keys before they are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKeyNorm {
    None,
    /// Over each head.
    Head,
    /// Over all heads together.
    All,
}

/// When a projection has a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    Always,
    Never,
    /// When `config.json` has one of these keys set to true; those that are there have to agree. The
    /// first is the oldest.
    Keys(&'static [&'static str]),
    /// Unless `config.json` has this key set to false.
    Unless(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MlpKind {
    /// `down(act(gate(x)) * up(x))`
    Gated,
    /// `down(act(up(x)))`
    Plain,
}

/// How a model knows where a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionRule {
    /// Queries and keys are rotated in every layer.
    Rotary,
    /// As [`PositionRule::Rotary`], but not in layers for which `no_rope_layers` has a 0, by default
    /// every fourth.
    RotaryInSomeLayers,
    /// As [`PositionRule::Rotary`], with another base (`rope_local_base_freq`) in windowed layers.
    RotaryByWindow,
    /// A vector is added to each embedding.
    Learned,
}

/// What may be bent to stay below a number that `config.json` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softcaps {
    pub scores: bool,
    pub logits: bool,
}

/// Which layers see only the last `sliding_window` positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowRule {
    /// None.
    None,
    /// All, when `sliding_window` is a number.
    All,
    /// Those that `layer_types` names; without it all, when `sliding_window` is a number.
    AllUnlessListed,
    /// Those that `layer_types` names; without it those from `max_window_layers` on, when
    /// `use_sliding_window` is true.
    FromLayer,
    /// Those that `layer_types` names; without it those that are not rotated, when
    /// `use_sliding_window` is true.
    WithoutRope,
    /// Those that `layer_types` names; without it all but each n-th, with n under this key, if there
    /// is one, or else this number.
    AllButEach(Option<&'static str>, usize),
}

/// Which norms the reference implementation's optimizer does not decay.
///
/// transformers 4.51.3 exempts modules of class `LayerNorm` and `LlamaRMSNorm` and tensors whose
/// name contains `layernorm`, so that the same norm is decayed in one architecture and not in
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndecayedNorms {
    All,
    /// Those of layers, but not of queries and keys, nor the last one.
    OfLayers,
    None,
}

impl Architecture {
    pub const ALL: [Self; 15] = [
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
        Self::SmolLm3,
        Self::Olmo2,
        Self::Phi3,
        Self::Gemma2,
        Self::Gemma3,
        Self::InternLm2,
        Self::InternLm3,
        Self::GptNeox,
        Self::Gpt2,
        Self::Bert,
        Self::DistilBert,
    ];

    pub fn from_model_type(model_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.traits().model_type == model_type)
    }

    pub fn traits(self) -> &'static Traits {
        table::row(self)
    }

    /// Whether layers of the two fit in one stack: the same architecture, or one that was made from
    /// the other's layers.
    pub fn shares_layers_with(self, other: Self) -> bool {
        let is_bert = |architecture| matches!(architecture, Self::Bert | Self::DistilBert);
        self == other || is_bert(self) && is_bert(other)
    }

    /// The order that the paper found best for the family; a search may find a better one.
    pub fn default_order(self) -> PatchOrder {
        match self {
            Self::Llama => PatchOrder::First,
            _ => PatchOrder::Last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_type_names_one_architecture() {
        for architecture in Architecture::ALL {
            let model_type = architecture.traits().model_type;
            assert_eq!(Architecture::from_model_type(model_type), Some(architecture));
        }
    }
}
