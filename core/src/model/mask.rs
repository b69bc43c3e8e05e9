//! Which positions a query may look at.

use burn::tensor::{Bool, Device, Int, Tensor};

/// Added to the attention scores: 0 where a query may look, a very large negative number where it
/// may not. Shape `[batch or 1, 1, query, key]`.
#[derive(Clone, Debug)]
pub struct AttentionMask {
    bias: Tensor<4>,
    /// Where each token stands in its text, `[batch, seq]`; `None` when that is its place in the row.
    depths: Option<Tensor<2, Int>>,
    /// Whether a query may see keys after it.
    #[cfg_attr(not(feature = "distill"), allow(dead_code, reason = "training asks"))]
    sees_future: bool,
}

/// Finite, so that a row without any visible key becomes uniform instead of NaN.
const HIDDEN: f32 = f32::MIN;

impl AttentionMask {
    /// `[batch or 1, 1, query, key]`: what is added to scores.
    pub(super) fn bias(&self) -> &Tensor<4> {
        &self.bias
    }

    /// Whether a query may see keys after it.
    #[cfg(feature = "distill")]
    pub(super) fn sees_future(&self) -> bool {
        self.sees_future
    }

    /// Each of `seq` new positions sees itself and everything before it, `past` positions of a
    /// cache included.
    pub fn causal(seq: usize, past: usize, device: &Device) -> Self {
        let query = positions(past, seq, device).reshape([1, 1, seq, 1]);
        let key = positions(0, past + seq, device).reshape([1, 1, 1, past + seq]);
        Self::where_hidden(key.greater(query))
    }

    /// Causal within each document of a row; documents do not see each other.
    ///
    /// Shape: `segments` is `[batch, seq]` and holds a document's number at each of its positions.
    pub fn packed(segments: Tensor<2, Int>) -> Self {
        let [batch, seq] = segments.dims();
        let causal = hidden_future(seq, &segments.device());
        let query = segments.clone().reshape([batch, 1, seq, 1]);
        let other = segments.reshape([batch, 1, 1, seq]).not_equal(query);
        Self::where_hidden(other.bool_or(causal.expand([batch, 1, seq, seq])))
    }

    /// Causal, and nobody sees padding. Hugging Face's `attention_mask`.
    ///
    /// Shape: `valid` is `[batch, seq]`, 1 for a token and 0 for padding.
    pub fn padded(valid: Tensor<2, Int>) -> Self {
        let [batch, seq] = valid.dims();
        let causal = hidden_future(seq, &valid.device());
        let padding = valid.reshape([batch, 1, 1, seq]).equal_scalar(0);
        let shape = [batch, 1, seq, seq];
        Self::where_hidden(padding.expand(shape).bool_or(causal.expand(shape)))
    }

    /// Every token sees every other of its row, and nobody sees padding: for models that predict
    /// masked tokens from both sides.
    ///
    /// Shape: `valid` is `[batch, seq]`, 1 for a token and 0 for padding.
    pub fn both_ways(valid: Tensor<2, Int>) -> Self {
        let [batch, seq] = valid.dims();
        let padding = valid.reshape([batch, 1, 1, seq]).equal_scalar(0);
        Self { sees_future: true, ..Self::where_hidden(padding.expand([batch, 1, seq, seq])) }
    }

    /// Each token sees itself and what comes before it in its text, in rows of texts that share their
    /// beginnings: the tree of their tokens, in depth-first order.
    ///
    /// Shapes: both are `[batch, seq]`. The continuations of a token end before the place `ends` in
    /// its row; `depths` counts the tokens before it in its text.
    pub fn branching(ends: Tensor<2, Int>, depths: Tensor<2, Int>) -> Self {
        let [batch, seq] = ends.dims();
        let device = ends.device();
        let shape = [batch, 1, seq, seq];
        let query = positions(0, seq, &device).reshape([1, 1, seq, 1]);
        // Another branch has begun where a query lies behind the end of a key.
        let other = ends.reshape([batch, 1, 1, seq]).expand(shape).lower_equal(query.expand(shape));
        let hidden = other.bool_or(hidden_future(seq, &device).expand(shape));
        Self { depths: Some(depths), ..Self::where_hidden(hidden) }
    }

    /// The same, but a query sees at most the last `window` positions, its own included.
    pub(super) fn windowed(&self, window: usize) -> Self {
        let [_, _, n_queries, n_keys] = self.bias.dims();
        let device = self.bias.device();
        if let Some(depths) = &self.depths {
            let [batch, seq] = depths.dims();
            let query = depths.clone().reshape([batch, 1, seq, 1]) - window as i64;
            let key = depths.clone().reshape([batch, 1, 1, seq]);
            let shape = [batch, 1, seq, seq];
            let hidden = key.expand(shape).lower_equal(query.expand(shape));
            return Self { bias: self.bias.clone().mask_fill(hidden, HIDDEN), ..self.clone() };
        }
        // Queries are the last of the keys.
        let query = positions(n_keys - n_queries, n_queries, &device);
        let key = positions(0, n_keys, &device).reshape([1, 1, 1, n_keys]);
        let last_hidden = query.reshape([1, 1, n_queries, 1]) - window as i64;
        let hidden = key.lower_equal(last_hidden).expand(self.bias.dims());
        Self {
            bias: self.bias.clone().mask_fill(hidden, HIDDEN),
            depths: None,
            sees_future: self.sees_future,
        }
    }

    fn where_hidden(hidden: Tensor<4, Bool>) -> Self {
        let shape = hidden.dims();
        let bias = Tensor::zeros(shape, &hidden.device()).mask_fill(hidden, HIDDEN);
        Self { bias, depths: None, sees_future: false }
    }

    /// Shapes: `scores` and the result are `[batch, heads, query, key]`.
    pub fn apply(&self, scores: Tensor<4>) -> Tensor<4> {
        scores + self.bias.clone()
    }
}

fn positions(start: usize, len: usize, device: &Device) -> Tensor<1, Int> {
    Tensor::arange(start as i64..(start + len) as i64, device)
}

/// `[1, 1, seq, seq]`, true where the key comes after the query.
fn hidden_future(seq: usize, device: &Device) -> Tensor<4, Bool> {
    let query = positions(0, seq, device).reshape([1, 1, seq, 1]);
    positions(0, seq, device).reshape([1, 1, 1, seq]).greater(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visible(mask: &AttentionMask) -> Vec<bool> {
        mask.bias.to_data().iter::<f32>().map(|bias| bias == 0.0).collect()
    }

    #[test]
    fn new_positions_see_the_cache_and_themselves() {
        let mask = AttentionMask::causal(2, 1, &Device::flex());
        assert_eq!(visible(&mask), [true, true, false, true, true, true]);
    }

    #[test]
    fn documents_in_a_row_do_not_see_each_other() {
        let segments = Tensor::<2, Int>::from_data([[1, 1, 2]], &Device::flex());
        let expected = [true, false, false, true, true, false, false, false, true];
        assert_eq!(visible(&AttentionMask::packed(segments)), expected);
    }

    #[test]
    fn a_window_hides_what_is_too_far_back() {
        let mask = AttentionMask::causal(2, 2, &Device::flex()).windowed(2);
        assert_eq!(visible(&mask), [false, true, true, false, false, false, true, true]);
    }

    #[test]
    fn branches_see_their_beginning_and_not_each_other() {
        // 0 -> 1 -> 2 and 0 -> 3, with padding at the end.
        let row = |values: [i64; 5]| Tensor::<2, Int>::from_data([values], &Device::flex());
        let mask = AttentionMask::branching(row([4, 3, 3, 4, 5]), row([0, 1, 2, 1, 0]));
        let expected = [
            [true, false, false, false, false],
            [true, true, false, false, false],
            [true, true, true, false, false],
            [true, false, false, true, false],
        ];
        assert_eq!(visible(&mask)[..20], *expected.as_flattened());
        let near = visible(&mask.windowed(2));
        assert_eq!(near[10..20], [[false, true, true, false, false], expected[3]].concat());
    }

    #[test]
    fn nobody_sees_padding() {
        let valid = Tensor::<2, Int>::from_data([[1, 1, 0]], &Device::flex());
        let expected = [true, false, false, true, true, false, true, true, false];
        assert_eq!(visible(&AttentionMask::padded(valid)), expected);
    }

    #[test]
    fn both_ways_hides_padding_alone() {
        let valid = Tensor::<2, Int>::from_data([[1, 1, 0]], &Device::flex());
        let expected = [true, true, false].repeat(3);
        assert_eq!(visible(&AttentionMask::both_ways(valid)), expected);
    }
}
