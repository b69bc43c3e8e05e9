//! Name tables of masked language models.

use super::rows::Layout::{AsStored, Transposed};
use super::rows::{Row, Table};

const BERT_LAYER: &[Row] = &[
    ("attention.query.weight", "attention.self.query.weight", Transposed),
    ("attention.query.bias", "attention.self.query.bias", AsStored),
    ("attention.key.weight", "attention.self.key.weight", Transposed),
    ("attention.key.bias", "attention.self.key.bias", AsStored),
    ("attention.value.weight", "attention.self.value.weight", Transposed),
    ("attention.value.bias", "attention.self.value.bias", AsStored),
    ("attention.output.weight", "attention.output.dense.weight", Transposed),
    ("attention.output.bias", "attention.output.dense.bias", AsStored),
    ("attention_sum_norm.gamma", "attention.output.LayerNorm.weight", AsStored),
    ("attention_sum_norm.beta", "attention.output.LayerNorm.bias", AsStored),
    ("mlp.up.weight", "intermediate.dense.weight", Transposed),
    ("mlp.up.bias", "intermediate.dense.bias", AsStored),
    ("mlp.down.weight", "output.dense.weight", Transposed),
    ("mlp.down.bias", "output.dense.bias", AsStored),
    ("mlp_sum_norm.gamma", "output.LayerNorm.weight", AsStored),
    ("mlp_sum_norm.beta", "output.LayerNorm.bias", AsStored),
];

const BERT_ENDS: &[Row] = &[
    ("embedding.tokens.weight", "bert.embeddings.word_embeddings.weight", AsStored),
    ("embedding.positions.weight", "bert.embeddings.position_embeddings.weight", AsStored),
    ("embedding.token_types.weight", "bert.embeddings.token_type_embeddings.weight", AsStored),
    ("embedding.norm.gamma", "bert.embeddings.LayerNorm.weight", AsStored),
    ("embedding.norm.beta", "bert.embeddings.LayerNorm.bias", AsStored),
    ("transform.dense.weight", "cls.predictions.transform.dense.weight", Transposed),
    ("transform.dense.bias", "cls.predictions.transform.dense.bias", AsStored),
    ("transform.norm.gamma", "cls.predictions.transform.LayerNorm.weight", AsStored),
    ("transform.norm.beta", "cls.predictions.transform.LayerNorm.bias", AsStored),
    ("transform.logit_bias", "cls.predictions.bias", AsStored),
    ("head.weight", "cls.predictions.decoder.weight", AsStored),
];

pub(super) const BERT: Table = Table {
    layer_prefix: "bert.encoder.layer",
    layer: &[BERT_LAYER],
    ends: BERT_ENDS,
    also: &[("bert.", ""), ("cls.predictions.bias", "cls.predictions.decoder.bias")],
    // The first checkpoints predate these names.
    also_ending: &[
        (".LayerNorm.weight", ".LayerNorm.gamma"),
        (".LayerNorm.bias", ".LayerNorm.beta"),
    ],
};

const DISTIL_BERT_LAYER: &[Row] = &[
    ("attention.query.weight", "attention.q_lin.weight", Transposed),
    ("attention.query.bias", "attention.q_lin.bias", AsStored),
    ("attention.key.weight", "attention.k_lin.weight", Transposed),
    ("attention.key.bias", "attention.k_lin.bias", AsStored),
    ("attention.value.weight", "attention.v_lin.weight", Transposed),
    ("attention.value.bias", "attention.v_lin.bias", AsStored),
    ("attention.output.weight", "attention.out_lin.weight", Transposed),
    ("attention.output.bias", "attention.out_lin.bias", AsStored),
    ("attention_sum_norm.gamma", "sa_layer_norm.weight", AsStored),
    ("attention_sum_norm.beta", "sa_layer_norm.bias", AsStored),
    ("mlp.up.weight", "ffn.lin1.weight", Transposed),
    ("mlp.up.bias", "ffn.lin1.bias", AsStored),
    ("mlp.down.weight", "ffn.lin2.weight", Transposed),
    ("mlp.down.bias", "ffn.lin2.bias", AsStored),
    ("mlp_sum_norm.gamma", "output_layer_norm.weight", AsStored),
    ("mlp_sum_norm.beta", "output_layer_norm.bias", AsStored),
];

const DISTIL_BERT_ENDS: &[Row] = &[
    ("embedding.tokens.weight", "distilbert.embeddings.word_embeddings.weight", AsStored),
    ("embedding.positions.weight", "distilbert.embeddings.position_embeddings.weight", AsStored),
    ("embedding.norm.gamma", "distilbert.embeddings.LayerNorm.weight", AsStored),
    ("embedding.norm.beta", "distilbert.embeddings.LayerNorm.bias", AsStored),
    ("transform.dense.weight", "vocab_transform.weight", Transposed),
    ("transform.dense.bias", "vocab_transform.bias", AsStored),
    ("transform.norm.gamma", "vocab_layer_norm.weight", AsStored),
    ("transform.norm.beta", "vocab_layer_norm.bias", AsStored),
    ("transform.logit_bias", "vocab_projector.bias", AsStored),
    ("head.weight", "vocab_projector.weight", AsStored),
];

pub(super) const DISTIL_BERT: Table = Table {
    layer_prefix: "distilbert.transformer.layer",
    layer: &[DISTIL_BERT_LAYER],
    ends: DISTIL_BERT_ENDS,
    also: &[("distilbert.", "")],
    also_ending: &[],
};
