//! Grouped-query attention with rotary positions, optional query/key norms and biases.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig, RmsNorm, RmsNormConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};

use super::cache::LayerCache;
use super::mask::AttentionMask;
use super::rope::RotaryTable;
use crate::config::ModelConfig;

/// Self-attention of one layer.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    query_norm: Option<RmsNorm>,
    key_norm: Option<RmsNorm>,
    n_heads: usize,
    n_kv_heads: usize,
    d_head: usize,
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
        let norm = || {
            let norm = RmsNormConfig::new(config.d_head).with_epsilon(config.norm_epsilon);
            config.query_key_norm.then(|| norm.init(device))
        };
        Self {
            query: linear(config.d_model, d_query, bias),
            key: linear(config.d_model, d_key, bias),
            value: linear(config.d_model, d_key, bias),
            output: linear(d_query, config.d_model, config.attention_output_bias),
            query_norm: norm(),
            key_norm: norm(),
            n_heads: config.n_heads,
            n_kv_heads: config.n_kv_heads,
            d_head: config.d_head,
        }
    }

    /// Shapes: `x` and the result are `[batch, seq, d_model]`.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        rope: &RotaryTable,
        mask: Option<&AttentionMask>,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<3> {
        let [batch, seq, _] = x.dims();
        let query = self.split_heads(self.query.forward(x.clone()), self.n_heads);
        let key = self.split_heads(self.key.forward(x.clone()), self.n_kv_heads);
        let value = self.split_heads(self.value.forward(x), self.n_kv_heads);

        let query = rope.rotate(normalize(self.query_norm.as_ref(), query));
        let key = rope.rotate(normalize(self.key_norm.as_ref(), key));
        let (key, value) = match cache {
            Some(cache) => cache.append(key, value),
            None => (key, value),
        };

        // The query heads that share a key head become further rows of it, so that keys and values
        // are never repeated: [batch, n_kv_heads, n_groups * seq, d_head].
        let n_keys = key.dims()[2];
        let n_groups = self.n_heads / self.n_kv_heads;
        let query = query * (self.d_head as f64).powf(-0.5);
        let query = query.reshape([batch, self.n_kv_heads, n_groups * seq, self.d_head]);
        let scores = query.matmul(key.transpose()).reshape([batch, self.n_heads, seq, n_keys]);
        let scores = match mask {
            Some(mask) => mask.apply(scores),
            None => scores,
        };
        let weights = softmax(scores, 3);
        let weights = weights.reshape([batch, self.n_kv_heads, n_groups * seq, n_keys]);
        let mixed = weights.matmul(value).reshape([batch, self.n_heads, seq, self.d_head]);

        // [batch, n_heads, seq, d_head] -> [batch, seq, n_heads * d_head]
        let mixed = mixed.swap_dims(1, 2).reshape([batch, seq, self.n_heads * self.d_head]);
        self.output.forward(mixed)
    }

    /// `[batch, seq, heads * d_head]` -> `[batch, heads, seq, d_head]`
    fn split_heads(&self, x: Tensor<3>, heads: usize) -> Tensor<4> {
        let [batch, seq, _] = x.dims();
        x.reshape([batch, seq, heads, self.d_head]).swap_dims(1, 2)
    }
}

fn normalize(norm: Option<&RmsNorm>, x: Tensor<4>) -> Tensor<4> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}
