//! Grouped-query attention with rotary positions, query/key norms and biases where a model has them.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};

use super::cache::LayerCache;
use super::layer::{linear, normalize};
use super::mask::AttentionMask;
use super::norm::Norm;
use super::one_row;
use super::rope::RotaryTable;
use crate::architecture::QueryKeyNorm;
use crate::config::ModelConfig;

/// Self-attention of one layer.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    query_norm: Option<Norm>,
    key_norm: Option<Norm>,
    n_heads: usize,
    n_kv_heads: usize,
    d_head: usize,
    scale: f64,
    softcap: Option<f64>,
    /// Queries and keys are normalised before they are split into heads.
    norms_all_heads: bool,
}

impl Attention {
    /// Lazy: no weight exists before it is read or filled.
    pub(super) fn lazy(config: &ModelConfig, device: &Device) -> Self {
        let linear = |d_input, d_output, bias| {
            LinearConfig::new(d_input, d_output).with_bias(bias).init(device)
        };
        let d_query = config.n_heads * config.d_head;
        let d_key = config.n_kv_heads * config.d_head;
        let bias = config.query_key_value_bias;
        let norm = |d_all| match config.traits().query_key_norm {
            QueryKeyNorm::None => None,
            QueryKeyNorm::Head => Some(Norm::lazy(config.d_head, config, device)),
            QueryKeyNorm::All => Some(Norm::lazy(d_all, config, device)),
        };
        Self {
            query: linear(config.d_model, d_query, bias),
            key: linear(config.d_model, d_key, bias),
            value: linear(config.d_model, d_key, bias),
            output: linear(d_query, config.d_model, config.attention_output_bias),
            query_norm: norm(d_query),
            key_norm: norm(d_key),
            n_heads: config.n_heads,
            n_kv_heads: config.n_kv_heads,
            d_head: config.d_head,
            scale: config.attention_scale,
            softcap: config.attention_softcap,
            norms_all_heads: config.traits().query_key_norm == QueryKeyNorm::All,
        }
    }

    /// Shapes: `x` and the result are `[batch, seq, d_model]`.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        rope: Option<&RotaryTable>,
        mask: Option<&AttentionMask>,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<3> {
        let [batch, seq, _] = x.dims();
        let query = linear(&self.query, x.clone());
        let query = self.prepare(query, self.query_norm.as_ref(), self.n_heads, rope);
        let key = linear(&self.key, x.clone());
        let key = self.prepare(key, self.key_norm.as_ref(), self.n_kv_heads, rope);
        let value = self.split_heads(linear(&self.value, x), self.n_kv_heads);
        let (key, value) = match cache {
            Some(cache) => cache.append(key, value),
            None => (key, value),
        };

        if mask.is_none()
            && let Some(mixed) = one_row::attend(&query, &key, &value, self.scale, self.softcap)
        {
            return linear(&self.output, mixed);
        }

        // The query heads that share a key head become further rows of it, so that keys and values
        // are never repeated: [batch, n_kv_heads, n_groups * seq, d_head].
        let n_keys = key.dims()[2];
        let n_groups = self.n_heads / self.n_kv_heads;
        let query = query * self.scale;
        let query = query.reshape([batch, self.n_kv_heads, n_groups * seq, self.d_head]);
        let scores = query.matmul(key.transpose()).reshape([batch, self.n_heads, seq, n_keys]);
        let scores = softcap(self.softcap, scores);
        let scores = match mask {
            Some(mask) => mask.apply(scores),
            None => scores,
        };
        let weights = softmax(scores, 3);
        let weights = weights.reshape([batch, self.n_kv_heads, n_groups * seq, n_keys]);
        let mixed = weights.matmul(value).reshape([batch, self.n_heads, seq, self.d_head]);

        // [batch, n_heads, seq, d_head] -> [batch, seq, n_heads * d_head]
        let mixed = mixed.swap_dims(1, 2).reshape([batch, seq, self.n_heads * self.d_head]);
        linear(&self.output, mixed)
    }

    /// Queries or keys as they meet: normalised, in heads, rotated.
    ///
    /// Shapes: `[batch, seq, heads * d_head]` -> `[batch, heads, seq, d_head]`
    fn prepare(
        &self,
        x: Tensor<3>,
        norm: Option<&Norm>,
        heads: usize,
        rope: Option<&RotaryTable>,
    ) -> Tensor<4> {
        let x = if self.norms_all_heads {
            self.split_heads(normalize(norm, x), heads)
        } else {
            normalize(norm, self.split_heads(x, heads))
        };
        match rope {
            Some(rope) => rope.rotate(x),
            None => x,
        }
    }

    /// `[batch, seq, heads * d_head]` -> `[batch, heads, seq, d_head]`
    fn split_heads(&self, x: Tensor<3>, heads: usize) -> Tensor<4> {
        let [batch, seq, _] = x.dims();
        x.reshape([batch, seq, heads, self.d_head]).swap_dims(1, 2)
    }
}

/// `cap * tanh(x / cap)`: nearly `x` while it is small, and never above `cap` (Gemma 2,
/// arXiv:2408.00118).
pub(super) fn softcap<const D: usize>(cap: Option<f64>, x: Tensor<D>) -> Tensor<D> {
    match cap {
        Some(cap) => (x / cap).tanh() * cap,
        None => x,
    }
}
