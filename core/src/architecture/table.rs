//! The architecture table: what transformers' code does for each `model_type` beyond `config.json`.

use super::{
    Architecture, Bias, Defaults, Fixed, Keys, MlpKind, NormKind, Norms, Objective, PositionRule,
    QueryKeyNorm, ResidualRule, Softcaps, Traits, UndecayedNorms, WindowRule,
};

pub(super) fn row(architecture: Architecture) -> &'static Traits {
    match architecture {
        Architecture::Llama => &LLAMA,
        Architecture::Mistral => &MISTRAL,
        Architecture::Qwen2 => &QWEN2,
        Architecture::Qwen3 => &QWEN3,
        Architecture::SmolLm3 => &SMOL_LM3,
        Architecture::Olmo2 => &OLMO2,
        Architecture::Olmo3 => &OLMO3,
        Architecture::Phi3 => &PHI3,
        Architecture::Gemma2 => &GEMMA2,
        Architecture::Gemma3 => &GEMMA3,
        Architecture::InternLm2 => &INTERN_LM2,
        Architecture::InternLm3 => &INTERN_LM3,
        Architecture::GptNeox => &GPT_NEOX,
        Architecture::Gpt2 => &GPT2,
        Architecture::Bert => &BERT,
        Architecture::DistilBert => &DISTIL_BERT,
    }
}

const LLAMA_KEYS: Keys = Keys {
    d_model: "hidden_size",
    d_ff: "intermediate_size",
    n_layers: "num_hidden_layers",
    n_heads: "num_attention_heads",
    n_kv_heads: Some("num_key_value_heads"),
    d_head: Some("head_dim"),
    max_seq: "max_position_embeddings",
    norm_epsilon: Some("rms_norm_eps"),
    activation: "hidden_act",
    rope_theta: "rope_theta",
    rotary_fraction: None,
};

/// For models without grouped-query attention whose heads have `d_model / n_heads` dimensions.
const PLAIN_HEADS: Keys = Keys { n_kv_heads: None, d_head: None, ..LLAMA_KEYS };

const ROPE_TYPES: &[&str] = &["default", "linear", "dynamic", "llama3", "longrope", "yarn"];

static LLAMA: Traits = LLAMA_ROW;

/// The row that the others differ from.
const LLAMA_ROW: Traits = Traits {
    model_type: "llama",
    keys: &LLAMA_KEYS,
    aliases: &[],
    required: &[],
    fixed: &[Fixed::Flag("is_causal", true)],
    objective: Objective::NextToken,
    norm: Norms { kind: NormKind::Rms, before: true, after: false, after_sum: false },
    residual: ResidualRule::Sequential,
    query_key_norm: QueryKeyNorm::None,
    query_key_value_bias: Bias::Keys(&["attention_bias"]),
    attention_output_bias: Bias::Keys(&["attention_bias"]),
    mlp_bias: Bias::Keys(&["mlp_bias"]),
    mlp: MlpKind::Gated,
    defaults: Defaults {
        norm_epsilon: 1e-6,
        activation: "silu",
        rope_theta: 10_000.0,
        rotary_fraction: 1.0,
        max_seq: 2048,
        tied: false,
        d_head: None,
        original_seq: None,
        d_ff_per_d_model: None,
        window: None,
        attention_divisor: None,
        attention_softcap: None,
        logit_softcap: None,
    },
    positions: PositionRule::Rotary,
    rope_types: ROPE_TYPES,
    windows: WindowRule::None,
    softcaps: Softcaps { scores: false, logits: false },
    scales_embedding: false,
    normalizes_embedding: false,
    token_types: false,
    needs_own_code: false,
    undecayed_norms: UndecayedNorms::All,
};

static MISTRAL: Traits = Traits {
    model_type: "mistral",
    query_key_value_bias: Bias::Never,
    attention_output_bias: Bias::Never,
    mlp_bias: Bias::Never,
    windows: WindowRule::AllUnlessListed,
    defaults: Defaults { max_seq: 131_072, window: Some(4096), ..LLAMA_ROW.defaults },
    undecayed_norms: UndecayedNorms::OfLayers,
    ..LLAMA_ROW
};

static QWEN2: Traits = Traits {
    model_type: "qwen2",
    query_key_value_bias: Bias::Always,
    attention_output_bias: Bias::Never,
    ..QWEN3_ROW
};

static QWEN3: Traits = Traits { query_key_norm: QueryKeyNorm::Head, ..QWEN3_ROW };

const QWEN3_ROW: Traits = Traits {
    model_type: "qwen3",
    mlp_bias: Bias::Never,
    windows: WindowRule::FromLayer,
    defaults: Defaults { max_seq: 32_768, window: Some(4096), ..LLAMA_ROW.defaults },
    undecayed_norms: UndecayedNorms::OfLayers,
    ..LLAMA_ROW
};

static SMOL_LM3: Traits = Traits {
    model_type: "smollm3",
    positions: PositionRule::RotaryInSomeLayers,
    windows: WindowRule::WithoutRope,
    defaults: Defaults {
        rope_theta: 2_000_000.0,
        max_seq: 32_768,
        tied: true,
        ..LLAMA_ROW.defaults
    },
    undecayed_norms: UndecayedNorms::OfLayers,
    ..LLAMA_ROW
};

static OLMO2: Traits = OLMO2_ROW;

static OLMO3: Traits = Traits {
    model_type: "olmo3",
    positions: PositionRule::RotaryScaledWithoutWindow,
    windows: WindowRule::AllButEach(None, 4),
    defaults: Defaults { window: Some(4096), ..OLMO2_ROW.defaults },
    ..OLMO2_ROW
};

const OLMO2_ROW: Traits = Traits {
    model_type: "olmo2",
    norm: Norms { kind: NormKind::Rms, before: false, after: true, after_sum: false },
    query_key_norm: QueryKeyNorm::All,
    mlp_bias: Bias::Never,
    defaults: Defaults { norm_epsilon: 1e-5, ..LLAMA_ROW.defaults },
    undecayed_norms: UndecayedNorms::OfLayers,
    ..LLAMA_ROW
};

static PHI3: Traits = Traits {
    model_type: "phi3",
    keys: &Keys { rotary_fraction: Some("partial_rotary_factor"), ..LLAMA_KEYS },
    query_key_value_bias: Bias::Never,
    attention_output_bias: Bias::Never,
    mlp_bias: Bias::Never,
    rope_types: &["default", "longrope", "su"],
    windows: WindowRule::All,
    defaults: Defaults {
        norm_epsilon: 1e-5,
        max_seq: 4096,
        original_seq: Some(4096),
        ..LLAMA_ROW.defaults
    },
    undecayed_norms: UndecayedNorms::OfLayers,
    ..LLAMA_ROW
};

static GEMMA2: Traits = GEMMA2_ROW;

const GEMMA2_ROW: Traits = Traits {
    model_type: "gemma2",
    keys: &Keys { activation: "hidden_activation", ..LLAMA_KEYS },
    fixed: &[Fixed::Flag("is_causal", true), Fixed::Flag("use_bidirectional_attention", false)],
    norm: Norms { kind: NormKind::RmsAroundOne, before: true, after: true, after_sum: false },
    mlp_bias: Bias::Never,
    windows: WindowRule::AllButEach(None, 2),
    softcaps: Softcaps { scores: true, logits: true },
    scales_embedding: true,
    defaults: Defaults {
        activation: "gelu_pytorch_tanh",
        max_seq: 8192,
        tied: true,
        d_head: Some(256),
        window: Some(4096),
        attention_divisor: Some(256.0),
        attention_softcap: Some(50.0),
        logit_softcap: Some(30.0),
        ..LLAMA_ROW.defaults
    },
    undecayed_norms: UndecayedNorms::OfLayers,
    ..LLAMA_ROW
};

static GEMMA3: Traits = Traits {
    model_type: "gemma3_text",
    query_key_norm: QueryKeyNorm::Head,
    positions: PositionRule::RotaryByWindow,
    windows: WindowRule::AllButEach(Some("sliding_window_pattern"), 6),
    // transformers also reads a softcap for attention scores, but does not apply it.
    softcaps: Softcaps { scores: false, logits: true },
    defaults: Defaults {
        rope_theta: 1_000_000.0,
        max_seq: 131_072,
        attention_softcap: None,
        logit_softcap: None,
        ..GEMMA2_ROW.defaults
    },
    ..GEMMA2_ROW
};

static INTERN_LM2: Traits = Traits {
    model_type: "internlm2",
    keys: &Keys { d_head: None, ..LLAMA_KEYS },
    query_key_value_bias: Bias::Unless("bias"),
    attention_output_bias: Bias::Unless("bias"),
    mlp_bias: Bias::Never,
    rope_types: &["default", "linear", "dynamic"],
    needs_own_code: true,
    undecayed_norms: UndecayedNorms::None,
    ..LLAMA_ROW
};

/// Its own code uses `qkv_bias` and `bias`; transformers 5 runs it as a Llama with Llama's keys,
/// which have to agree.
static INTERN_LM3: Traits = Traits {
    model_type: "internlm3",
    required: &["num_key_value_heads", "head_dim", "rms_norm_eps"],
    query_key_value_bias: Bias::Keys(&["qkv_bias", "attention_bias"]),
    attention_output_bias: Bias::Keys(&["bias", "attention_bias", "mlp_bias"]),
    mlp_bias: Bias::Keys(&["bias", "mlp_bias", "attention_bias"]),
    defaults: Defaults { max_seq: 32_768, ..LLAMA_ROW.defaults },
    undecayed_norms: UndecayedNorms::OfLayers,
    ..LLAMA_ROW
};

static GPT_NEOX: Traits = Traits {
    model_type: "gpt_neox",
    keys: &Keys {
        norm_epsilon: Some("layer_norm_eps"),
        rope_theta: "rotary_emb_base",
        rotary_fraction: Some("rotary_pct"),
        ..PLAIN_HEADS
    },
    norm: Norms { kind: NormKind::Layer, before: true, after: false, after_sum: false },
    residual: ResidualRule::ParallelUnless("use_parallel_residual"),
    query_key_value_bias: Bias::Unless("attention_bias"),
    attention_output_bias: Bias::Unless("attention_bias"),
    mlp_bias: Bias::Always,
    mlp: MlpKind::Plain,
    defaults: Defaults {
        norm_epsilon: 1e-5,
        activation: "gelu",
        rotary_fraction: 0.25,
        ..LLAMA_ROW.defaults
    },
    ..LLAMA_ROW
};

static GPT2: Traits = Traits {
    model_type: "gpt2",
    keys: &Keys {
        d_model: "n_embd",
        d_ff: "n_inner",
        n_layers: "n_layer",
        n_heads: "n_head",
        max_seq: "n_positions",
        norm_epsilon: Some("layer_norm_epsilon"),
        activation: "activation_function",
        ..PLAIN_HEADS
    },
    aliases: &[
        ("hidden_size", "n_embd"),
        ("num_hidden_layers", "n_layer"),
        ("num_attention_heads", "n_head"),
        ("max_position_embeddings", "n_positions"),
    ],
    fixed: &[
        Fixed::Flag("is_causal", true),
        Fixed::Flag("scale_attn_weights", true),
        Fixed::Flag("scale_attn_by_inverse_layer_idx", false),
        Fixed::Flag("add_cross_attention", false),
    ],
    norm: Norms { kind: NormKind::Layer, before: true, after: false, after_sum: false },
    query_key_value_bias: Bias::Always,
    attention_output_bias: Bias::Always,
    mlp_bias: Bias::Always,
    mlp: MlpKind::Plain,
    positions: PositionRule::Learned,
    defaults: Defaults {
        norm_epsilon: 1e-5,
        activation: "gelu_new",
        max_seq: 1024,
        tied: true,
        d_ff_per_d_model: Some(4),
        ..LLAMA_ROW.defaults
    },
    ..LLAMA_ROW
};

static BERT: Traits = BERT_ROW;

const BERT_ROW: Traits = Traits {
    model_type: "bert",
    keys: &Keys { norm_epsilon: Some("layer_norm_eps"), ..PLAIN_HEADS },
    fixed: &[
        Fixed::Flag("is_decoder", false),
        Fixed::Flag("add_cross_attention", false),
        Fixed::Word("position_embedding_type", "absolute"),
    ],
    objective: Objective::MaskedToken,
    norm: Norms { kind: NormKind::Layer, before: false, after: false, after_sum: true },
    query_key_value_bias: Bias::Always,
    attention_output_bias: Bias::Always,
    mlp_bias: Bias::Always,
    mlp: MlpKind::Plain,
    positions: PositionRule::Learned,
    normalizes_embedding: true,
    token_types: true,
    defaults: Defaults {
        norm_epsilon: 1e-12,
        activation: "gelu",
        max_seq: 512,
        tied: true,
        ..LLAMA_ROW.defaults
    },
    ..LLAMA_ROW
};

static DISTIL_BERT: Traits = Traits {
    model_type: "distilbert",
    keys: &Keys {
        d_model: "dim",
        d_ff: "hidden_dim",
        n_layers: "n_layers",
        n_heads: "n_heads",
        norm_epsilon: None,
        activation: "activation",
        ..PLAIN_HEADS
    },
    aliases: &[
        ("hidden_size", "dim"),
        ("num_hidden_layers", "n_layers"),
        ("num_attention_heads", "n_heads"),
    ],
    fixed: &[],
    token_types: false,
    ..BERT_ROW
};
