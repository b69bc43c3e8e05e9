//! Keys and values of the positions already seen, so that generation computes each once.

use burn::tensor::{Device, Tensor};

use super::context::tables;
use super::rope::RotaryTable;
use crate::config::ModelConfig;

/// One entry for each layer of a model, with room for a fixed number of positions.
///
/// A cache belongs to the stack it was made for: another size of the family needs a new one.
#[derive(Clone, Debug)]
pub struct KvCache {
    pub(super) layers: Vec<LayerCache>,
    pub(super) rope: Vec<RotaryTable>,
    pub(super) len: usize,
    capacity: usize,
}

/// Keys and values of one layer, `[batch, n_kv_heads, capacity, d_head]`.
#[derive(Clone, Debug)]
pub(crate) struct LayerCache {
    key: Tensor<4>,
    value: Tensor<4>,
    len: usize,
}

impl KvCache {
    pub fn new(config: &ModelConfig, batch: usize, capacity: usize, device: &Device) -> Self {
        let shape = [batch, config.n_kv_heads, capacity, config.d_head];
        let empty = || LayerCache {
            key: Tensor::zeros(shape, device),
            value: Tensor::zeros(shape, device),
            len: 0,
        };
        Self {
            layers: config.layers.iter().map(|_| empty()).collect(),
            rope: tables(&config.rotary, capacity, device),
            len: 0,
            capacity,
        }
    }

    /// Positions seen so far.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Positions that still fit.
    pub fn room(&self) -> usize {
        self.capacity - self.len
    }
}

impl LayerCache {
    /// Adds the keys and values of `seq` new positions and returns those of all positions.
    ///
    /// Shapes: `[batch, n_kv_heads, seq, d_head]` in, `[batch, n_kv_heads, len, d_head]` out.
    pub(crate) fn append(&mut self, key: Tensor<4>, value: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [batch, heads, seq, d_head] = key.dims();
        let end = self.len + seq;
        let place = [0..batch, 0..heads, self.len..end, 0..d_head];
        self.key.inplace(|all| all.slice_assign(place.clone(), key));
        self.value.inplace(|all| all.slice_assign(place, value));
        self.len = end;
        (self.key.clone().narrow(2, 0, end), self.value.clone().narrow(2, 0, end))
    }
}
