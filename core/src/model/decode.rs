//! Decoding on the CPU: one position through the whole model, on the numbers themselves.
//!
//! [`LanguageModel::next_logits`] takes this path when its cache was made for it: batch 1, and all
//! weights in this program's memory. It is the same computation as `forward` of each part, which the
//! function beside it (`…_of_one`) does for a single position; a test compares the two for every
//! architecture. Training never comes here.

use boomerang_kernels as kernels;
use burn::tensor::{Tensor, TensorData};

use super::LanguageModel;
use super::cache::KvCache;
use super::linear::add;
use super::norm::normalize_rows;
use super::numbers::numbers;
use super::switch::keep_states;

impl LanguageModel {
    /// Logits after one more token, `[1, vocab]`.
    pub(super) fn decode(&self, token: u32, cache: &mut KvCache) -> Tensor<2> {
        let logits = kernels::together(|| self.decoded(token, cache));
        Tensor::from_data(TensorData::new(logits, [1, self.config.vocab]), &self.device())
    }

    fn decoded(&self, token: u32, cache: &mut KvCache) -> Vec<f32> {
        let position = cache.len;
        let mut x = self.embedding.of_one(token as usize, position);
        let KvCache { layers, rope, states, .. } = cache;
        for (index, (layer, layer_cache)) in self.layers.iter().zip(layers).enumerate() {
            keep_states(states, index, || {
                let data = TensorData::new(x.clone(), [1, 1, x.len()]);
                Tensor::from_data(data, &layer_cache.device())
            });
            let rope = layer.kind().rotary.map(|table| &rope[table]);
            x = layer.forward_of_one(x, rope, position, layer_cache);
        }
        cache.len += 1;
        normalize_rows(self.norm.as_ref(), &mut x);
        let mut logits = self.head().products_of_one(&x);
        if let Some(cap) = self.config.logit_softcap {
            softcap_of_one(cap, &mut logits);
        }
        logits
    }
}

/// Calls `act` with the numbers of a parameter.
///
/// # Panics
/// When they are not in this program's memory, which making the cache has ruled out.
pub(super) fn read<const D: usize, T>(tensor: &Tensor<D>, act: impl FnOnce(&[f32]) -> T) -> T {
    act(&numbers(tensor).expect("weights in memory, in row-major order"))
}

/// As [`super::attention::softcap`].
pub(super) fn softcap_of_one(cap: f64, x: &mut [f32]) {
    let cap = cap as f32;
    for x in x {
        *x = cap * (*x / cap).tanh();
    }
}

/// `x + y`, in place of `x`.
pub(super) fn sum(mut x: Vec<f32>, y: &[f32]) -> Vec<f32> {
    add(&mut x, y);
    x
}
