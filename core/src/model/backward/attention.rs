//! Attention and its gradients, a block of queries at a time.

use boomerang_kernels::train as kernels;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

use super::super::attention::{Attention, softcap};
use super::super::mask::AttentionMask;
use super::super::norm::Norm;
use super::super::numbers::{change, numbers, numbers_of};
use super::super::rope::RotaryTable;
use super::ops::{add, linear, linear_backward, norm, norm_backward, product, rotate};
use super::{Gradients, Pass};

/// What [`Attention::backward`] needs.
pub(super) struct KeptAttention {
    /// `[rows, d_model]`
    x: Tensor<2>,
    /// Queries and keys before their norms, where they have any.
    unnormalized: [Option<Tensor<2>>; 2],
    /// Queries and keys as they meet, and values: `[rows, heads * d_head]`.
    query: Tensor<2>,
    key: Tensor<2>,
    value: Tensor<2>,
    /// What the output matrix reads, `[rows, n_heads * d_head]`.
    mixed: Tensor<2>,
}

/// Rotation and mask of a layer.
#[derive(Clone, Copy)]
pub(super) struct Positions<'a> {
    pub(super) rope: Option<&'a RotaryTable>,
    pub(super) mask: &'a AttentionMask,
}

impl Attention {
    /// Shapes: `x` and the result are `[rows, d_model]`.
    pub(super) fn forward_keeping(
        &self,
        x: Tensor<2>,
        pass: &Pass,
        positions: Positions<'_>,
    ) -> (Tensor<2>, KeptAttention) {
        let [query, key, value] =
            [&self.query, &self.key, &self.value].map(|layer| linear(layer, x.clone(), pass.dtype));
        let (query, query_before) = self.prepared(query, self.query_norm.as_ref(), pass, positions);
        let (key, key_before) = self.prepared(key, self.key_norm.as_ref(), pass, positions);
        let mixed = self.attend(&query, &key, &value, pass, positions.mask);
        let y = linear(&self.output, mixed.clone(), pass.dtype);
        let unnormalized = [query_before, key_before];
        (y, KeptAttention { x, unnormalized, query, key, value, mixed })
    }

    /// Queries or keys, normalized and rotated, and as they were before a norm.
    fn prepared(
        &self,
        x: Tensor<2>,
        by: Option<&Norm>,
        pass: &Pass,
        positions: Positions<'_>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        let (x, before) = match by {
            Some(by) => (norm(by, &self.norm_rows(x.clone())).reshape(x.dims()), Some(x)),
            None => (x, None),
        };
        let x = match positions.rope {
            Some(rope) => rotate(rope, x, [pass.batch, pass.seq, self.d_head], 1.0),
            None => x,
        };
        (x, before)
    }

    /// Queries or keys in rows as wide as their norm.
    fn norm_rows(&self, x: Tensor<2>) -> Tensor<2> {
        if self.norms_all_heads {
            return x;
        }
        let [rows, width] = x.dims();
        x.reshape([rows * width / self.d_head, self.d_head])
    }

    pub(super) fn backward(
        &self,
        kept: KeptAttention,
        gradient: &Tensor<2>,
        pass: &Pass,
        positions: Positions<'_>,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let KeptAttention { x, unnormalized: [query_before, key_before], query, key, value, mixed } =
            kept;
        let of_mixed = linear_backward(&self.output, &mixed, gradient, pass.dtype, gradients);
        drop(mixed);
        let [of_query, of_key, of_value] =
            self.attend_backward([&query, &key, &value], of_mixed, pass, positions.mask);
        drop((query, key, value));
        let mut before = |of: Tensor<2>, by: Option<&Norm>, input: Option<Tensor<2>>| {
            let of = match positions.rope {
                Some(rope) => rotate(rope, of, [pass.batch, pass.seq, self.d_head], -1.0),
                None => of,
            };
            match (by, input) {
                (Some(by), Some(input)) => {
                    let shape = input.dims();
                    let [input, of] = [input, of].map(|rows| self.norm_rows(rows));
                    norm_backward(by, &input, of, gradients).reshape(shape)
                }
                _ => of,
            }
        };
        let of_query = before(of_query, self.query_norm.as_ref(), query_before);
        let of_key = before(of_key, self.key_norm.as_ref(), key_before);
        let by_query = linear_backward(&self.query, &x, &of_query, pass.dtype, gradients);
        let by_key = linear_backward(&self.key, &x, &of_key, pass.dtype, gradients);
        let by_value = linear_backward(&self.value, &x, &of_value, pass.dtype, gradients);
        add(add(by_query, &by_key), &by_value)
    }

    /// Blocks of queries, and how many of the keys each sees.
    fn blocks(&self, pass: &Pass, mask: &AttentionMask) -> Vec<[usize; 3]> {
        let starts = (0..pass.seq).step_by(pass.query_block);
        let block = |start: usize| {
            let end = (start + pass.query_block).min(pass.seq);
            [start, end - start, if mask.sees_future() { pass.seq } else { end }]
        };
        starts.map(block).collect()
    }

    /// `[rows, heads * d_head]` -> `[batch, n_kv_heads, groups * seq, d_head]`, the query heads of a
    /// key head one after another.
    fn grouped(&self, x: &Tensor<2>, pass: &Pass, [start, len]: [usize; 2]) -> Tensor<4> {
        let [_, width] = x.dims();
        let groups = width / self.d_head / self.n_kv_heads;
        x.clone()
            .reshape([pass.batch, pass.seq, self.n_kv_heads, groups, self.d_head])
            .narrow(1, start, len)
            .permute([0, 2, 3, 1, 4])
            .reshape([pass.batch, self.n_kv_heads, groups * len, self.d_head])
    }

    /// The inverse of [`Attention::grouped`], of a block: `[batch, len, heads * d_head]`.
    fn ungrouped(&self, x: Tensor<4>, pass: &Pass, len: usize) -> Tensor<3> {
        let groups = x.dims()[2] / len;
        x.reshape([pass.batch, self.n_kv_heads, groups, len, self.d_head])
            .permute([0, 3, 1, 2, 4])
            .reshape([pass.batch, len, self.n_kv_heads * groups * self.d_head])
    }

    fn attend(
        &self,
        query: &Tensor<2>,
        key: &Tensor<2>,
        value: &Tensor<2>,
        pass: &Pass,
        mask: &AttentionMask,
    ) -> Tensor<2> {
        let all = [0, pass.seq];
        let (key, value) = (self.grouped(key, pass, all), self.grouped(value, pass, all));
        let blocks = self.blocks(pass, mask).into_iter().map(|[start, len, n_keys]| {
            let query = self.grouped(query, pass, [start, len]);
            let keys = key.clone().narrow(2, 0, n_keys);
            let scores = product(query, keys.transpose(), pass.dtype);
            let weights = self.block_weights(scores, [start, len], mask);
            let values = value.clone().narrow(2, 0, n_keys);
            self.ungrouped(product(weights, values, pass.dtype), pass, len)
        });
        let mixed = Tensor::cat(blocks.collect(), 1);
        let width = self.n_heads * self.d_head;
        mixed.reshape([pass.batch * pass.seq, width])
    }

    fn attend_backward(
        &self,
        [query, key, value]: [&Tensor<2>; 3],
        of_mixed: Tensor<2>,
        pass: &Pass,
        mask: &AttentionMask,
    ) -> [Tensor<2>; 3] {
        let all = [0, pass.seq];
        let (key, value) = (self.grouped(key, pass, all), self.grouped(value, pass, all));
        let mut of_query = Vec::new();
        let mut sums: Option<[Tensor<4>; 2]> = None;
        // The last block sees all keys, so that the sums begin with their full length.
        for [start, len, n_keys] in self.blocks(pass, mask).into_iter().rev() {
            let query = self.grouped(query, pass, [start, len]);
            let of_mixed = self.grouped(&of_mixed, pass, [start, len]);
            let keys = key.clone().narrow(2, 0, n_keys);
            let values = value.clone().narrow(2, 0, n_keys);
            let scores = product(query.clone(), keys.clone().transpose(), pass.dtype);
            let kept = self.softcap.is_some().then(|| scores.clone());
            let weights = self.block_weights(scores, [start, len], mask);
            let of_value = product(weights.clone().transpose(), of_mixed.clone(), pass.dtype);
            let of_weights = product(of_mixed, values.transpose(), pass.dtype);
            let of_scores = self.weights_backward(weights, kept, of_weights);
            let by_keys = product(of_scores.clone(), keys, pass.dtype);
            of_query.push(self.ungrouped(by_keys, pass, len));
            let of_key = product(of_scores.transpose(), query, pass.dtype);
            sums = Some(match sums {
                None => [of_key, of_value],
                Some([key_sum, value_sum]) => {
                    [(key_sum, of_key), (value_sum, of_value)].map(|(sum, part)| {
                        let [batch, heads, _, d_head] = part.dims();
                        let place = [0..batch, 0..heads, 0..n_keys, 0..d_head];
                        let seen = add(sum.clone().slice(place.clone()), &part);
                        sum.slice_assign(place, seen)
                    })
                }
            });
        }
        of_query.reverse();
        let rows = pass.batch * pass.seq;
        let of_query = Tensor::cat(of_query, 1).reshape([rows, self.n_heads * self.d_head]);
        let [of_key, of_value] = sums.expect("a pass has at least one query").map(|sum| {
            self.ungrouped(sum, pass, pass.seq).reshape([rows, self.n_kv_heads * self.d_head])
        });
        [of_query, of_key, of_value]
    }

    /// Softmax of the masked scores, `[batch, n_kv_heads, groups * queries, keys]` in and out.
    fn block_weights(
        &self,
        scores: Tensor<4>,
        [start, len]: [usize; 2],
        mask: &AttentionMask,
    ) -> Tensor<4> {
        let [_, kv_heads, rows, n_keys] = scores.dims();
        let bias = mask.bias();
        let [n_masks, _, n_queries, all_keys] = bias.dims();
        let shape = self.score_shape(n_keys);
        let fused = |scores: Tensor<4>| {
            let Some(of_bias) = numbers(bias) else { return Err(scores) };
            let bias_of = |row: usize| {
                let batch = if n_masks == 1 { 0 } else { row / (kv_heads * rows) };
                (batch * n_queries + start + row % len) * all_keys
            };
            change(scores, |scores| kernels::weights(shape, scores, &of_bias, bias_of))
        };
        fused(scores).unwrap_or_else(|scores| {
            let [batch, kv_heads, rows, n_keys] = scores.dims();
            let scores = softcap(self.softcap, scores * self.scale);
            let scores = scores.reshape([batch, kv_heads * rows / len, len, n_keys]);
            let bias = bias.clone().narrow(2, start, len).narrow(3, 0, n_keys);
            softmax(scores + bias, 3).reshape([batch, kv_heads, rows, n_keys])
        })
    }

    /// The gradient of the scores; `scores` are those of a model with a softcap.
    fn weights_backward(
        &self,
        weights: Tensor<4>,
        scores: Option<Tensor<4>>,
        gradient: Tensor<4>,
    ) -> Tensor<4> {
        let shape = self.score_shape(weights.dims()[3]);
        let fused = |gradient: Tensor<4>| {
            let found = (numbers(&weights), numbers_of(scores.as_ref()));
            let (Some(of_weights), Some(of_scores)) = found else { return Err(gradient) };
            change(gradient, |gradient| {
                kernels::weights_backward(shape, &of_weights, of_scores.as_deref(), gradient);
            })
        };
        fused(gradient).unwrap_or_else(|gradient| {
            let along = (weights.clone() * gradient.clone()).sum_dim(3);
            let of_capped = weights * (gradient - along) * self.scale;
            match (self.softcap, scores) {
                (Some(cap), Some(scores)) => {
                    let tanh = (scores * (self.scale / cap)).tanh();
                    of_capped * (-tanh.square() + 1.0)
                }
                _ => of_capped,
            }
        })
    }

    fn score_shape(&self, n_keys: usize) -> kernels::ScoreShape {
        kernels::ScoreShape {
            n_keys,
            scale: self.scale as f32,
            softcap: self.softcap.map(|cap| cap as f32),
        }
    }
}
