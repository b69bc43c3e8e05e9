//! GGUF tensor names and what GGUF can express for each architecture, as data.

use crate::architecture::Architecture;
use crate::config::Activation;

/// `(tensor name, parameters concatenated by output, form)`.
pub(super) type Row = (&'static str, &'static [&'static str], Form);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Weights of a projection; GGUF stores one row per output.
    Matrix,
    /// One row per token or position, in checkpoints as well.
    Table,
    Vector,
}

use Form::{Matrix, Table, Vector};

/// A GGUF architecture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    /// `general.architecture`, also the prefix of its keys.
    pub(super) name: &'static str,
    pub(super) layer: &'static [&'static [Row]],
    /// Rotary embeddings pair adjacent dimensions (interleaved), and queries and keys are permuted
    /// accordingly; in checkpoints the pairs are split into two halves of a head.
    pub(super) pairs: bool,
    pub(super) head: Head,
    /// Layer kinds that llama.cpp derives from the layer index.
    pub(super) kinds: Kinds,
    pub(super) activations: &'static [Activation],
    /// Biases of queries, keys and values, of the attention output, and of the MLP.
    pub(super) biases: [Biases; 3],
    pub(super) rope: Rope,
    pub(super) scale: Scale,
    pub(super) softcaps: Softcaps,
    /// Whether `n_heads * d_head` has to be `d_model`.
    pub(super) heads_fill_width: bool,
}

/// Whether a file stores the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Only if it is not tied to the embedding.
    IfUntied,
    /// Always, even if it is a copy of the embedding.
    Always,
    /// Never: it is always tied to the embedding.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    /// All layers are the same, with full attention.
    Alike,
    /// Every n-th layer has full attention, the others a window.
    WindowedButEach(usize),
    /// Every n-th layer has no rotary embedding.
    RotatedButEach(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Biases {
    Never,
    Always,
    Either,
}

/// Supported rotary embeddings, in addition to the plain one and linear scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rope {
    Plain,
    /// A factor per pair, which can express Llama 3's scaling.
    Factors,
    /// Two factors per pair (LongRoPE) and partial rotation.
    Long,
    /// Partial rotation.
    Partial,
    None,
}

/// Divisor of the attention scores, a square root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// `sqrt(d_head)`.
    Head,
    /// `sqrt(d_model / n_heads)` for models with this number of layers, otherwise `sqrt(d_head)`.
    WidthFor(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Softcaps {
    None,
    /// Optional, on logits only.
    Logits,
    /// Required, on scores and logits.
    Both,
}

/// The tensors outside of layers.
pub(super) const ENDS: &[Row] = &[
    ("token_embd.weight", &["embedding.tokens.weight"], Table),
    ("position_embd.weight", &["embedding.positions.weight"], Table),
    ("output_norm.weight", &["norm.gamma"], Vector),
    ("output_norm.bias", &["norm.beta"], Vector),
    ("output.weight", &["head.weight"], Table),
];

const NORMS: &[Row] = &[
    ("attn_norm.weight", &["attention_norm.gamma"], Vector),
    ("attn_norm.bias", &["attention_norm.beta"], Vector),
    ("post_attention_norm.weight", &["attention_post_norm.gamma"], Vector),
    ("ffn_norm.weight", &["mlp_norm.gamma"], Vector),
    ("ffn_norm.bias", &["mlp_norm.beta"], Vector),
    ("post_ffw_norm.weight", &["mlp_post_norm.gamma"], Vector),
];

const ATTENTION: &[Row] = &[
    ("attn_q.weight", &["attention.query.weight"], Matrix),
    ("attn_q.bias", &["attention.query.bias"], Vector),
    ("attn_k.weight", &["attention.key.weight"], Matrix),
    ("attn_k.bias", &["attention.key.bias"], Vector),
    ("attn_v.weight", &["attention.value.weight"], Matrix),
    ("attn_v.bias", &["attention.value.bias"], Vector),
    ("attn_q_norm.weight", &["attention.query_norm.gamma"], Vector),
    ("attn_k_norm.weight", &["attention.key_norm.gamma"], Vector),
];

const FUSED_ATTENTION: &[Row] = &[
    (
        "attn_qkv.weight",
        &["attention.query.weight", "attention.key.weight", "attention.value.weight"],
        Matrix,
    ),
    (
        "attn_qkv.bias",
        &["attention.query.bias", "attention.key.bias", "attention.value.bias"],
        Vector,
    ),
];

const OUTPUT: &[Row] = &[
    ("attn_output.weight", &["attention.output.weight"], Matrix),
    ("attn_output.bias", &["attention.output.bias"], Vector),
];

const MLP: &[Row] = &[
    ("ffn_gate.weight", &["mlp.gate.weight"], Matrix),
    ("ffn_gate.bias", &["mlp.gate.bias"], Vector),
    ("ffn_up.weight", &["mlp.up.weight"], Matrix),
    ("ffn_up.bias", &["mlp.up.bias"], Vector),
    ("ffn_down.weight", &["mlp.down.weight"], Matrix),
    ("ffn_down.bias", &["mlp.down.bias"], Vector),
];

const FUSED_MLP: &[Row] = &[
    ("ffn_up.weight", &["mlp.gate.weight", "mlp.up.weight"], Matrix),
    ("ffn_down.weight", &["mlp.down.weight"], Matrix),
];

/// The row that the others differ from.
const LLAMA: Traits = Traits {
    name: "llama",
    layer: &[NORMS, ATTENTION, OUTPUT, MLP],
    pairs: true,
    head: Head::IfUntied,
    kinds: Kinds::Alike,
    activations: &[Activation::Silu],
    biases: [Biases::Either; 3],
    rope: Rope::Factors,
    scale: Scale::Head,
    softcaps: Softcaps::None,
    heads_fill_width: false,
};

const QWEN3: Traits =
    Traits { name: "qwen3", pairs: false, biases: [Biases::Never; 3], rope: Rope::Plain, ..LLAMA };

const QWEN2: Traits = Traits {
    name: "qwen2",
    biases: [Biases::Always, Biases::Never, Biases::Never],
    heads_fill_width: true,
    ..QWEN3
};

const SMOL_LM3: Traits = Traits {
    name: "smollm3",
    kinds: Kinds::RotatedButEach(4),
    biases: [Biases::Never; 3],
    rope: Rope::Plain,
    heads_fill_width: true,
    ..LLAMA
};

const OLMO2: Traits = Traits { name: "olmo2", head: Head::Always, heads_fill_width: true, ..QWEN3 };

const INTERN_LM2: Traits = Traits {
    name: "internlm2",
    head: Head::Always,
    biases: [Biases::Never; 3],
    rope: Rope::Plain,
    heads_fill_width: true,
    ..LLAMA
};

const PHI3: Traits = Traits {
    name: "phi3",
    layer: &[NORMS, FUSED_ATTENTION, OUTPUT, FUSED_MLP],
    rope: Rope::Long,
    heads_fill_width: true,
    ..QWEN3
};

const GEMMA2: Traits = Traits {
    name: "gemma2",
    head: Head::Never,
    kinds: Kinds::WindowedButEach(2),
    activations: &[Activation::GeluTanh],
    scale: Scale::WidthFor(46),
    softcaps: Softcaps::Both,
    ..QWEN3
};

const GEMMA3: Traits = Traits {
    name: "gemma3",
    head: Head::IfUntied,
    kinds: Kinds::WindowedButEach(6),
    scale: Scale::WidthFor(62),
    softcaps: Softcaps::Logits,
    ..GEMMA2
};

const GPT2: Traits = Traits {
    name: "gpt2",
    layer: &[NORMS, FUSED_ATTENTION, OUTPUT, MLP],
    activations: &[Activation::GeluTanh],
    biases: [Biases::Always; 3],
    rope: Rope::None,
    heads_fill_width: true,
    ..QWEN3
};

/// llama.cpp computes its GELU by the tanh formula, as it does for all its models.
const GPT_NEOX: Traits = Traits {
    name: "gptneox",
    head: Head::Always,
    activations: &[Activation::Gelu, Activation::GeluTanh],
    rope: Rope::Partial,
    ..GPT2
};

impl Traits {
    const ALL: [&'static Self; 11] = [
        &LLAMA,
        &QWEN2,
        &QWEN3,
        &SMOL_LM3,
        &OLMO2,
        &INTERN_LM2,
        &PHI3,
        &GEMMA2,
        &GEMMA3,
        &GPT2,
        &GPT_NEOX,
    ];

    /// `None` for an architecture without GGUF support.
    pub(super) fn of(architecture: Architecture) -> Option<&'static Self> {
        match architecture {
            Architecture::Llama | Architecture::Mistral | Architecture::InternLm3 => Some(&LLAMA),
            Architecture::Qwen2 => Some(&QWEN2),
            Architecture::Qwen3 => Some(&QWEN3),
            Architecture::SmolLm3 => Some(&SMOL_LM3),
            Architecture::Olmo2 => Some(&OLMO2),
            Architecture::Phi3 => Some(&PHI3),
            Architecture::Gemma2 => Some(&GEMMA2),
            Architecture::Gemma3 => Some(&GEMMA3),
            Architecture::InternLm2 => Some(&INTERN_LM2),
            Architecture::GptNeox => Some(&GPT_NEOX),
            Architecture::Gpt2 => Some(&GPT2),
            #[allow(unreachable_patterns, reason = "an architecture comes before its GGUF name")]
            _ => None,
        }
    }

    pub(super) fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|traits| traits.name == name)
    }

    /// The supported values of `general.architecture`.
    pub(super) fn names() -> String {
        Self::ALL.map(|traits| traits.name).join(", ")
    }
}

impl Kinds {
    /// `(is_windowed, is_rotated)` of layer `layer`.
    pub(super) fn of_layer(self, layer: usize) -> (bool, bool) {
        match self {
            Self::Alike => (false, true),
            Self::WindowedButEach(n) => (!(layer + 1).is_multiple_of(n), true),
            Self::RotatedButEach(n) => (false, !(layer + 1).is_multiple_of(n)),
        }
    }
}
