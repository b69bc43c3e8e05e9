//! Grouped-query attention with rotary positions, query/key norms and biases where a model has them.

use boomerang_kernels as kernels;
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::cache::LayerCache;
use super::decode::softcap_of_one;
use super::linear::{Linear, linear, linear_of_one};
use super::mask::AttentionMask;
use super::norm::{Norm, normalize, normalize_rows};
use super::numbers::{change, numbers, stored};
use super::rope::RotaryTable;
use crate::architecture::QueryKeyNorm;
use crate::config::ModelConfig;

/// Self-attention of one layer.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) query_norm: Option<Norm>,
    pub(super) key_norm: Option<Norm>,
    pub(super) n_heads: usize,
    pub(super) n_kv_heads: usize,
    pub(super) d_head: usize,
    pub(super) scale: f64,
    pub(super) softcap: Option<f64>,
    /// Queries and keys are normalized before they are split into heads.
    pub(super) norms_all_heads: bool,
}

impl Attention {
    /// Lazy: no weight exists before it is read or filled.
    pub(super) fn lazy(config: &ModelConfig, device: &Device) -> Self {
        let linear = |d_input, d_output, bias| Linear::lazy(d_input, d_output, bias, device);
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

        // The query heads that share a key head become further rows of it, so that keys and values
        // are never repeated: [batch, n_kv_heads, n_groups * seq, d_head].
        let n_keys = key.dims()[2];
        let n_groups = self.n_heads / self.n_kv_heads;
        let query = query * self.scale;
        let query = query.reshape([batch, self.n_kv_heads, n_groups * seq, self.d_head]);
        let scores = query.matmul(key.transpose()).reshape([batch, self.n_heads, seq, n_keys]);
        let weights = self.weights(scores, mask);
        let weights = weights.reshape([batch, self.n_kv_heads, n_groups * seq, n_keys]);
        let mixed = weights.matmul(value).reshape([batch, self.n_heads, seq, self.d_head]);

        // [batch, n_heads, seq, d_head] -> [batch, seq, n_heads * d_head]
        let mixed = mixed.swap_dims(1, 2).reshape([batch, seq, self.n_heads * self.d_head]);
        linear(&self.output, mixed)
    }

    /// Softmax of the masked scores, in one pass over them on the CPU.
    ///
    /// Shapes: `[batch, n_heads, seq, n_keys]` in and out.
    fn weights(&self, scores: Tensor<4>, mask: Option<&AttentionMask>) -> Tensor<4> {
        let [_, n_heads, seq, n_keys] = scores.dims();
        let bias = mask.map(AttentionMask::bias).filter(|bias| bias.dims()[2..] == [seq, n_keys]);
        let scores = match bias.and_then(|bias| Some((bias.dims()[0], numbers(bias)?))) {
            None => scores,
            Some((n_masks, of_bias)) => {
                let bias_of = |row: usize| {
                    let batch = if n_masks == 1 { 0 } else { row / (n_heads * seq) };
                    (batch * seq + row % seq) * n_keys
                };
                let softcap = self.softcap.map(|cap| cap as f32);
                let shape = kernels::train::ScoreShape { n_keys, scale: 1.0, softcap };
                let fuse =
                    |scores: &mut [f32]| kernels::train::weights(shape, scores, &of_bias, bias_of);
                match change(scores, fuse) {
                    Ok(weights) => return weights,
                    Err(scores) => scores,
                }
            }
        };
        let scores = softcap(self.softcap, scores);
        softmax(mask.map_or(scores.clone(), |mask| mask.apply(scores)), 3)
    }

    /// As [`Attention::forward`], for one position; a query sees at most the last `window` positions.
    pub(super) fn forward_of_one(
        &self,
        x: &[f32],
        rope: Option<&RotaryTable>,
        position: usize,
        window: Option<usize>,
        cache: &mut LayerCache,
    ) -> Vec<f32> {
        let prepared = |layer: &Linear, norm: Option<&Norm>| {
            let mut heads = linear_of_one(layer, x);
            // A norm has as many weights as a head, or as all of them.
            normalize_rows(norm, &mut heads);
            if let Some(rope) = rope {
                rope.rotate_heads(&mut heads, self.d_head, position);
            }
            heads
        };
        let query = prepared(&self.query, self.query_norm.as_ref());
        let key = prepared(&self.key, self.key_norm.as_ref());
        let value = linear_of_one(&self.value, x);
        let shape = [1, self.n_kv_heads, 1, self.d_head];
        let tensor = |heads| Tensor::<4>::from_data(TensorData::new(heads, shape), &cache.device());
        let (key, value) = (tensor(key), tensor(value));
        let (key, value) = cache.append(key, value);
        let mixed = self.attend_of_one(&query, &key, &value, window);
        linear_of_one(&self.output, &mixed)
    }

    /// What the heads of one position take from all positions.
    ///
    /// Shapes: `query` and the result have `n_heads * d_head` numbers, `key` and `value` are
    /// `[1, n_kv_heads, len, d_head]`.
    fn attend_of_one(
        &self,
        query: &[f32],
        key: &Tensor<4>,
        value: &Tensor<4>,
        window: Option<usize>,
    ) -> Vec<f32> {
        const IN_MEMORY: &str = "a cache of this path has its keys and values in memory";
        let (len, d_head) = (key.dims()[2], self.d_head);
        let first_seen = window.map_or(0, |window| len.saturating_sub(window)) * d_head;
        let n_groups = self.n_heads / self.n_kv_heads;
        let (keys, values) = (stored(key).expect(IN_MEMORY), stored(value).expect(IN_MEMORY));
        let n_seen = len - first_seen / d_head;
        let mut mixed = vec![0.0; query.len()];
        kernels::share_rows(&mut mixed, d_head, 2 * n_seen * d_head, |first, mixed| {
            let mut weights = vec![0.0; n_seen];
            for (index, mixed) in mixed.chunks_exact_mut(d_head).enumerate() {
                let head = first + index;
                let query = &query[head * d_head..(head + 1) * d_head];
                let key = &keys.block(head / n_groups).expect(IN_MEMORY)[first_seen..];
                let value = &values.block(head / n_groups).expect(IN_MEMORY)[first_seen..];
                kernels::times_columns(query, key, &mut weights);
                weights.iter_mut().for_each(|weight| *weight *= self.scale as f32);
                if let Some(cap) = self.softcap {
                    softcap_of_one(cap, &mut weights);
                }
                kernels::softmax(&mut weights);
                kernels::times_rows(&weights, value, mixed);
            }
        });
        mixed
    }

    /// Queries or keys as they meet: normalized, in heads, rotated.
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
