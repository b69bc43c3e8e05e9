//! Name tables: one row per parameter.

use super::masked;
use crate::architecture::Architecture;

/// `(parameter path, Hugging Face tensor name, layout)`.
pub(super) type Row = (&'static str, &'static str, Layout);

/// Layout before the sizes of the model are known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layout {
    AsStored,
    Transposed,
    /// One of several parameters in a fused tensor; the flag is true for transposed matrices.
    Fused(bool, Fusion),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Fusion {
    /// All queries, then all keys, then all values.
    Query,
    Key,
    Value,
    /// Query, key and value interleaved by head.
    HeadQuery,
    HeadKey,
    HeadValue,
    /// Interleaved by key-value group: its queries, its key, its value.
    GroupQuery,
    GroupKey,
    GroupValue,
    Gate,
    Up,
}

use Fusion::{
    Gate, GroupKey, GroupQuery, GroupValue, HeadKey, HeadQuery, HeadValue, Key, Query, Up, Value,
};
use Layout::{AsStored, Fused, Transposed};

const ATTENTION: &[Row] = &[
    ("attention.query.weight", "self_attn.q_proj.weight", Transposed),
    ("attention.query.bias", "self_attn.q_proj.bias", AsStored),
    ("attention.key.weight", "self_attn.k_proj.weight", Transposed),
    ("attention.key.bias", "self_attn.k_proj.bias", AsStored),
    ("attention.value.weight", "self_attn.v_proj.weight", Transposed),
    ("attention.value.bias", "self_attn.v_proj.bias", AsStored),
    ("attention.output.weight", "self_attn.o_proj.weight", Transposed),
    ("attention.output.bias", "self_attn.o_proj.bias", AsStored),
    ("attention.query_norm.gamma", "self_attn.q_norm.weight", AsStored),
    ("attention.key_norm.gamma", "self_attn.k_norm.weight", AsStored),
];

const MLP: &[Row] = &[
    ("mlp.gate.weight", "mlp.gate_proj.weight", Transposed),
    ("mlp.gate.bias", "mlp.gate_proj.bias", AsStored),
    ("mlp.up.weight", "mlp.up_proj.weight", Transposed),
    ("mlp.up.bias", "mlp.up_proj.bias", AsStored),
    ("mlp.down.weight", "mlp.down_proj.weight", Transposed),
    ("mlp.down.bias", "mlp.down_proj.bias", AsStored),
];

const LLAMA_NORMS: &[Row] = &[
    ("attention_norm.gamma", "input_layernorm.weight", AsStored),
    ("mlp_norm.gamma", "post_attention_layernorm.weight", AsStored),
];

const OLMO2_NORMS: &[Row] = &[
    ("attention_post_norm.gamma", "post_attention_layernorm.weight", AsStored),
    ("mlp_post_norm.gamma", "post_feedforward_layernorm.weight", AsStored),
];

const GEMMA_NORMS: &[Row] = &[
    ("attention_norm.gamma", "input_layernorm.weight", AsStored),
    ("attention_post_norm.gamma", "post_attention_layernorm.weight", AsStored),
    ("mlp_norm.gamma", "pre_feedforward_layernorm.weight", AsStored),
    ("mlp_post_norm.gamma", "post_feedforward_layernorm.weight", AsStored),
];

const PHI3_LAYER: &[Row] = &[
    ("attention.query.weight", "self_attn.qkv_proj.weight", Fused(true, Query)),
    ("attention.key.weight", "self_attn.qkv_proj.weight", Fused(true, Key)),
    ("attention.value.weight", "self_attn.qkv_proj.weight", Fused(true, Value)),
    ("attention.output.weight", "self_attn.o_proj.weight", Transposed),
    ("mlp.gate.weight", "mlp.gate_up_proj.weight", Fused(true, Gate)),
    ("mlp.up.weight", "mlp.gate_up_proj.weight", Fused(true, Up)),
    ("mlp.down.weight", "mlp.down_proj.weight", Transposed),
];

const INTERN_LM2_LAYER: &[Row] = &[
    ("attention_norm.gamma", "attention_norm.weight", AsStored),
    ("attention.query.weight", "attention.wqkv.weight", Fused(true, GroupQuery)),
    ("attention.query.bias", "attention.wqkv.bias", Fused(false, GroupQuery)),
    ("attention.key.weight", "attention.wqkv.weight", Fused(true, GroupKey)),
    ("attention.key.bias", "attention.wqkv.bias", Fused(false, GroupKey)),
    ("attention.value.weight", "attention.wqkv.weight", Fused(true, GroupValue)),
    ("attention.value.bias", "attention.wqkv.bias", Fused(false, GroupValue)),
    ("attention.output.weight", "attention.wo.weight", Transposed),
    ("attention.output.bias", "attention.wo.bias", AsStored),
    ("mlp_norm.gamma", "ffn_norm.weight", AsStored),
    ("mlp.gate.weight", "feed_forward.w1.weight", Transposed),
    ("mlp.up.weight", "feed_forward.w3.weight", Transposed),
    ("mlp.down.weight", "feed_forward.w2.weight", Transposed),
];

const GPT_NEOX_LAYER: &[Row] = &[
    ("attention_norm.gamma", "input_layernorm.weight", AsStored),
    ("attention_norm.beta", "input_layernorm.bias", AsStored),
    ("attention.query.weight", "attention.query_key_value.weight", Fused(true, HeadQuery)),
    ("attention.query.bias", "attention.query_key_value.bias", Fused(false, HeadQuery)),
    ("attention.key.weight", "attention.query_key_value.weight", Fused(true, HeadKey)),
    ("attention.key.bias", "attention.query_key_value.bias", Fused(false, HeadKey)),
    ("attention.value.weight", "attention.query_key_value.weight", Fused(true, HeadValue)),
    ("attention.value.bias", "attention.query_key_value.bias", Fused(false, HeadValue)),
    ("attention.output.weight", "attention.dense.weight", Transposed),
    ("attention.output.bias", "attention.dense.bias", AsStored),
    ("mlp_norm.gamma", "post_attention_layernorm.weight", AsStored),
    ("mlp_norm.beta", "post_attention_layernorm.bias", AsStored),
    ("mlp.up.weight", "mlp.dense_h_to_4h.weight", Transposed),
    ("mlp.up.bias", "mlp.dense_h_to_4h.bias", AsStored),
    ("mlp.down.weight", "mlp.dense_4h_to_h.weight", Transposed),
    ("mlp.down.bias", "mlp.dense_4h_to_h.bias", AsStored),
];

/// Its linear weights are `[d_input, d_output]`, as in this crate.
const GPT2_LAYER: &[Row] = &[
    ("attention_norm.gamma", "ln_1.weight", AsStored),
    ("attention_norm.beta", "ln_1.bias", AsStored),
    ("attention.query.weight", "attn.c_attn.weight", Fused(false, Query)),
    ("attention.query.bias", "attn.c_attn.bias", Fused(false, Query)),
    ("attention.key.weight", "attn.c_attn.weight", Fused(false, Key)),
    ("attention.key.bias", "attn.c_attn.bias", Fused(false, Key)),
    ("attention.value.weight", "attn.c_attn.weight", Fused(false, Value)),
    ("attention.value.bias", "attn.c_attn.bias", Fused(false, Value)),
    ("attention.output.weight", "attn.c_proj.weight", AsStored),
    ("attention.output.bias", "attn.c_proj.bias", AsStored),
    ("mlp_norm.gamma", "ln_2.weight", AsStored),
    ("mlp_norm.beta", "ln_2.bias", AsStored),
    ("mlp.up.weight", "mlp.c_fc.weight", AsStored),
    ("mlp.up.bias", "mlp.c_fc.bias", AsStored),
    ("mlp.down.weight", "mlp.c_proj.weight", AsStored),
    ("mlp.down.bias", "mlp.c_proj.bias", AsStored),
];

const LLAMA_ENDS: &[Row] = &[
    ("embedding.tokens.weight", "model.embed_tokens.weight", AsStored),
    ("norm.gamma", "model.norm.weight", AsStored),
    ("head.weight", "lm_head.weight", AsStored),
];

const INTERN_LM2_ENDS: &[Row] = &[
    ("embedding.tokens.weight", "model.tok_embeddings.weight", AsStored),
    ("norm.gamma", "model.norm.weight", AsStored),
    ("head.weight", "output.weight", AsStored),
];

const GPT_NEOX_ENDS: &[Row] = &[
    ("embedding.tokens.weight", "gpt_neox.embed_in.weight", AsStored),
    ("norm.gamma", "gpt_neox.final_layer_norm.weight", AsStored),
    ("norm.beta", "gpt_neox.final_layer_norm.bias", AsStored),
    ("head.weight", "embed_out.weight", AsStored),
];

const GPT2_ENDS: &[Row] = &[
    ("embedding.tokens.weight", "transformer.wte.weight", AsStored),
    ("embedding.positions.weight", "transformer.wpe.weight", AsStored),
    ("norm.gamma", "transformer.ln_f.weight", AsStored),
    ("norm.beta", "transformer.ln_f.bias", AsStored),
    ("head.weight", "lm_head.weight", AsStored),
];

/// The names of one architecture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) layer_prefix: &'static str,
    pub(super) layer: &'static [&'static [Row]],
    pub(super) ends: &'static [Row],
    /// Name prefixes that other programs omit or spell differently: `(canonical, alternative)`.
    pub(super) also: &'static [(&'static str, &'static str)],
    /// The same for name suffixes.
    pub(super) also_ending: &'static [(&'static str, &'static str)],
}

impl Table {
    pub(super) fn of(architecture: Architecture) -> Self {
        let like_llama = |layer| Self {
            layer_prefix: "model.layers",
            layer,
            ends: LLAMA_ENDS,
            // Files of the base model, without a head.
            also: &[("model.", "")],
            also_ending: &[],
        };
        match architecture {
            Architecture::Llama
            | Architecture::Mistral
            | Architecture::Qwen2
            | Architecture::Qwen3
            | Architecture::SmolLm3
            | Architecture::InternLm3 => like_llama(&[LLAMA_NORMS, ATTENTION, MLP]),
            Architecture::Olmo2 | Architecture::Olmo3 => like_llama(&[OLMO2_NORMS, ATTENTION, MLP]),
            Architecture::Gemma2 | Architecture::Gemma3 => {
                like_llama(&[GEMMA_NORMS, ATTENTION, MLP])
            }
            Architecture::Phi3 => like_llama(&[LLAMA_NORMS, PHI3_LAYER]),
            Architecture::InternLm2 => {
                Self { ends: INTERN_LM2_ENDS, ..like_llama(&[INTERN_LM2_LAYER]) }
            }
            Architecture::GptNeox => Self {
                layer_prefix: "gpt_neox.layers",
                layer: &[GPT_NEOX_LAYER],
                ends: GPT_NEOX_ENDS,
                // transformers 5 uses the same name for the head of every model.
                also: &[("gpt_neox.", ""), ("embed_out.", "lm_head.")],
                also_ending: &[],
            },
            Architecture::Gpt2 => Self {
                layer_prefix: "transformer.h",
                layer: &[GPT2_LAYER],
                ends: GPT2_ENDS,
                also: &[("transformer.", "")],
                also_ending: &[],
            },
            Architecture::Bert => masked::BERT,
            Architecture::DistilBert => masked::DISTIL_BERT,
        }
    }
}
