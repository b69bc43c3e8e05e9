//! What differs between the supported architectures, as data.
//!
//! Adding an architecture means one row in `table.rs`, one in `checkpoint/names/`, and a fixture;
//! `forward` does not depend on the architecture.

mod table;

use serde::{Deserialize, Serialize};

use crate::plan::PatchOrder;

/// A model architecture, in Hugging Face's sense of `model_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Architecture {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
    SmolLm3,
    Olmo2,
    Olmo3,
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
    /// The keys of the sizes in `config.json`.
    pub keys: &'static Keys,
    /// Aliases that transformers reads as well: `(alias, key)`.
    pub aliases: &'static [(&'static str, &'static str)],
    /// Required keys, because implementations of the architecture differ in their defaults.
    pub required: &'static [&'static str],
    /// Keys that change the result unless they have this value; any other value is rejected.
    pub fixed: &'static [Fixed],
    pub objective: Objective,
    pub norm: Norms,
    pub residual: ResidualRule,
    pub query_key_norm: QueryKeyNorm,
    pub query_key_value_bias: Bias,
    pub attention_output_bias: Bias,
    pub mlp_bias: Bias,
    pub mlp: MlpKind,
    /// Defaults for keys that `config.json` omits.
    pub defaults: Defaults,
    pub positions: PositionRule,
    /// The scalings of rotary embeddings (`rope_type`) that the architecture has and Boomerang
    /// supports.
    pub rope_types: &'static [&'static str],
    pub windows: WindowRule,
    pub softcaps: Softcaps,
    /// Token embeddings are multiplied by `sqrt(d_model)`.
    pub scales_embedding: bool,
    /// The sum of all embeddings is normalized.
    pub normalizes_embedding: bool,
    /// A token-type embedding is added to each token; all tokens have type 0.
    pub token_types: bool,
    /// transformers has no implementation and runs the checkpoint's own Python files
    /// (`trust_remote_code`).
    pub needs_own_code: bool,
    pub undecayed_norms: UndecayedNorms,
}

/// Hugging Face's names for the hyperparameters that every model has.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub d_model: &'static str,
    pub d_ff: &'static str,
    pub n_layers: &'static str,
    pub n_heads: &'static str,
    /// `None`: equal to `n_heads`.
    pub n_kv_heads: Option<&'static str>,
    /// `None`: `d_model / n_heads`.
    pub d_head: Option<&'static str>,
    pub max_seq: &'static str,
    /// `None`: always the default.
    pub norm_epsilon: Option<&'static str>,
    pub activation: &'static str,
    pub rope_theta: &'static str,
    /// The fraction of a head that is rotated; `None` for architectures that always rotate all of
    /// it.
    pub rotary_fraction: Option<&'static str>,
}

/// An optional key and the only value of it that is supported.
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
    /// Original context length of LongRoPE, if the config has a key for it outside of the scaling.
    pub original_seq: Option<usize>,
    /// `None`: `d_ff` is required.
    pub d_ff_per_d_model: Option<usize>,
    /// Size of the sliding window.
    pub window: Option<usize>,
    /// `query_pre_attn_scalar`; scores are divided by its square root. `None`: `d_head`.
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
    /// After the residual addition: the stream itself is normalized (post-norm, arXiv:1706.03762).
    pub after_sum: bool,
}

/// The training objective, which determines the attention mask and the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Causal language modeling: the next token from the previous ones; a final norm precedes the
    /// head.
    NextToken,
    /// Masked language modeling: masked tokens from all others; a dense layer with activation and
    /// norm precedes the head, and a bias is added to the logits.
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
    /// The MLP reads the residual stream after attention.
    Sequential,
    /// Attention and MLP read the same input if this key is true, which is its default.
    ParallelUnless(&'static str),
}

/// Norms of queries and keys before the rotary embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKeyNorm {
    None,
    /// Over each head separately.
    Head,
    /// Over all heads together.
    All,
}

/// When a projection has a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    Always,
    Never,
    /// If one of these keys is true in `config.json`; those present have to agree. The first is the
    /// oldest.
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

/// How a model encodes token positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionRule {
    /// Rotary embeddings of queries and keys in every layer.
    Rotary,
    /// As [`PositionRule::Rotary`], but not in layers whose entry in `no_rope_layers` is 0, by
    /// default every fourth.
    RotaryInSomeLayers,
    /// As [`PositionRule::Rotary`], with another base (`rope_local_base_freq`) in windowed layers.
    RotaryByWindow,
    /// As [`PositionRule::Rotary`], but windowed layers have no scaling.
    RotaryScaledWithoutWindow,
    /// A learned position embedding is added to each token embedding.
    Learned,
}

/// Which values may have a softcap, `cap * tanh(x / cap)`, in `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softcaps {
    pub scores: bool,
    pub logits: bool,
}

/// Which layers attend to only the last `sliding_window` positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowRule {
    /// None.
    None,
    /// All, if `sliding_window` is a number.
    All,
    /// Those listed in `layer_types`; without it all, if `sliding_window` is a number.
    AllUnlessListed,
    /// Those listed in `layer_types`; without it those from `max_window_layers` on, if
    /// `use_sliding_window` is true.
    FromLayer,
    /// Those listed in `layer_types`; without it those without rotary embeddings, if
    /// `use_sliding_window` is true.
    WithoutRope,
    /// Those listed in `layer_types`; without it all but every n-th layer, with n from this key if
    /// there is one, otherwise this number.
    AllButEach(Option<&'static str>, usize),
}

/// Which norms are exempt from weight decay in the reference implementation.
///
/// transformers 4.51.3 exempts modules of class `LayerNorm` and `LlamaRMSNorm` and tensors whose
/// name contains `layernorm`, so that the same norm is decayed in one architecture and not in
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndecayedNorms {
    All,
    /// Norms inside layers, but neither the query and key norms nor the final norm.
    OfLayers,
    None,
}

impl Architecture {
    pub const ALL: [Self; 16] = [
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
        Self::SmolLm3,
        Self::Olmo2,
        Self::Olmo3,
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

    /// Whether layers of the two can be combined in one stack: the architecture is the same, or one
    /// was derived from the other's layers.
    pub fn shares_layers_with(self, other: Self) -> bool {
        let is_bert = |architecture| matches!(architecture, Self::Bert | Self::DistilBert);
        self == other || is_bert(self) && is_bert(other)
    }

    /// The patch order that the paper found best for the architecture; a search may find a better
    /// one.
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
