//! Keys and values of the positions already seen, so that generation computes each once.

use burn::tensor::{Device, Int, Tensor};

use super::LanguageModel;
use super::context::tables;
use super::numbers::all_in_memory;
use super::rope::RotaryTable;
use super::switch::StateCache;
use crate::config::{ModelConfig, Rotary};

/// One entry for each layer of a model, with room for a fixed number of positions of one text, or of
/// several that stand at the same position.
///
/// A cache belongs to the stack it was made for: another size of the family takes it over with
/// [`LanguageModel::take_over`].
#[derive(Clone, Debug)]
pub struct KvCache {
    pub(super) layers: Vec<LayerCache>,
    pub(super) rope: Vec<RotaryTable>,
    pub(super) len: usize,
    pub(super) capacity: usize,
    /// Of the layers at which another size may branch off (`switch.rs`).
    pub(super) states: Vec<StateCache>,
    /// Whether single positions are decoded on the numbers themselves (`decode.rs`).
    pub(super) is_in_memory: bool,
}

/// Keys and values of one layer, `[n_rows, n_kv_heads, capacity, d_head]`.
#[derive(Clone, Debug)]
pub(crate) struct LayerCache {
    key: Tensor<4>,
    value: Tensor<4>,
    len: usize,
}

impl KvCache {
    /// For one text of at most `capacity` positions.
    pub fn new(model: &LanguageModel, capacity: usize) -> Self {
        Self { is_in_memory: all_in_memory(model), ..Self::for_rows(model, 1, capacity) }
    }

    /// For `n_rows` texts that stand at the same position, of at most `capacity` positions.
    pub fn for_rows(model: &LanguageModel, n_rows: usize, capacity: usize) -> Self {
        let (config, device) = (model.config(), model.device());
        let shape = Self::shape(config, n_rows, capacity);
        Self {
            layers: config.layers.iter().map(|_| LayerCache::empty(shape, &device)).collect(),
            rope: tables(&config.rotary, capacity, &device),
            len: 0,
            capacity,
            states: Vec::new(),
            is_in_memory: false,
        }
    }

    /// Of the keys, and of the values, of one layer.
    pub(super) fn shape(config: &ModelConfig, n_rows: usize, capacity: usize) -> [usize; 4] {
        [n_rows, config.n_kv_heads, capacity, config.d_head]
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

    /// Keys and values of all positions, also those that are still to be seen, and the states that
    /// are kept.
    pub fn n_bytes(&self) -> usize {
        let n_numbers = |layer: &LayerCache| 2 * layer.key.shape().num_elements();
        let n_of_states = self.states.iter().map(StateCache::n_numbers);
        size_of::<f32>() * self.layers.iter().map(n_numbers).chain(n_of_states).sum::<usize>()
    }

    /// Forgets all positions from `len` on.
    pub fn cut_back(&mut self, len: usize) {
        self.len = self.len.min(len);
        for layer in &mut self.layers {
            layer.len = layer.len.min(len);
        }
        self.states.iter_mut().for_each(|states| states.cut_back(len));
    }

    /// Forgets all texts but those at these indices, in their order.
    pub fn keep_rows(&mut self, rows: &[usize]) {
        let Some(device) = self.layers.first().map(LayerCache::device) else { return };
        let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let rows = Tensor::<1, Int>::from_data(rows.as_slice(), &device);
        self.layers.iter_mut().for_each(|layer| layer.keep_rows(&rows));
        self.states.iter_mut().for_each(|states| states.keep_rows(&rows));
    }

    /// The same positions with room for `capacity` in all, or more; `None` where positions of a text
    /// of that length are turned otherwise than those that are here.
    pub(crate) fn with_capacity(mut self, config: &ModelConfig, capacity: usize) -> Option<Self> {
        let turns_alike = |it: &Rotary| it.frequencies(capacity) == it.frequencies(self.capacity);
        if !config.rotary.iter().all(turns_alike) {
            return None;
        }
        if capacity > self.capacity {
            let layers = self.layers.into_iter().map(|layer| layer.with_capacity(capacity));
            self.layers = layers.collect();
            let device = self.layers.first()?.key.device();
            self.rope = tables(&config.rotary, capacity, &device);
            self.capacity = capacity;
        }
        Some(self)
    }
}

impl LayerCache {
    pub(super) fn empty(shape: [usize; 4], device: &Device) -> Self {
        Self { key: Tensor::zeros(shape, device), value: Tensor::zeros(shape, device), len: 0 }
    }

    fn keep_rows(&mut self, rows: &Tensor<1, Int>) {
        self.key = self.key.clone().select(0, rows.clone());
        self.value = self.value.clone().select(0, rows.clone());
    }

    fn with_capacity(self, capacity: usize) -> Self {
        let [batch, heads, _, d_head] = self.key.dims();
        let empty = Self::empty([batch, heads, capacity, d_head], &self.key.device());
        if self.len == 0 {
            return empty;
        }
        let place = [0..batch, 0..heads, 0..self.len, 0..d_head];
        let moved = |from: Tensor<4>, to: Tensor<4>| {
            to.slice_assign(place.clone(), from.narrow(2, 0, self.len))
        };
        Self {
            key: moved(self.key, empty.key),
            value: moved(self.value, empty.value),
            len: self.len,
        }
    }

    pub(super) fn device(&self) -> Device {
        self.key.device()
    }

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
