//! A text that another size of the family has read: its cache as the cache of this size.
//!
//! Keys and values of a layer depend on the layers before it only. Those of the leading layers that
//! both sizes share are kept. The other layers need the states that enter the first of them, at
//! every position: computing these again takes nearly all the work of the shared layers, so that
//! keys and values alone would save none of it. A cache therefore keeps the states on request, of
//! the layers at which another size may branch off ([`KvCache::keeping_states`]):
//! `4 * d_model` bytes per position and layer.

use burn::tensor::{Int, Tensor};

use super::LanguageModel;
use super::cache::{KvCache, LayerCache};
use super::context::Context;
use super::numbers::all_in_memory;

/// The states that enter one layer, at all positions in a cache.
#[derive(Clone, Debug)]
pub(super) struct StateCache {
    /// Index of the layer that reads them.
    layer: usize,
    /// Those of each pass, `[n_rows, seq, d_model]`: kept as they are, so that keeping them computes
    /// nothing.
    passes: Vec<Tensor<3>>,
    len: usize,
}

impl StateCache {
    fn empty(layer: usize) -> Self {
        Self { layer, passes: Vec::new(), len: 0 }
    }

    fn push(&mut self, states: Tensor<3>) {
        self.len += states.dims()[1];
        self.passes.push(states);
    }

    pub(super) fn cut_back(&mut self, len: usize) {
        while self.len > len
            && let Some(last) = self.passes.pop()
        {
            self.len -= last.dims()[1];
            if self.len < len {
                self.push(last.narrow(1, 0, len - self.len));
            }
        }
    }

    pub(super) fn keep_rows(&mut self, rows: &Tensor<1, Int>) {
        for states in &mut self.passes {
            states.inplace(|states| states.select(0, rows.clone()));
        }
    }

    pub(super) fn n_numbers(&self) -> usize {
        self.passes.iter().map(|states| states.shape().num_elements()).sum()
    }
}

impl KvCache {
    /// The same, for a text that other sizes may continue: from now on, the states that enter these
    /// layers are kept ([`crate::plan::LayerPlan::branch_layers`]).
    ///
    /// # Panics
    /// If the cache holds positions already.
    #[must_use]
    pub fn keeping_states(mut self, layers: &[usize]) -> Self {
        assert!(self.is_empty(), "states are kept from the first position on");
        self.states = layers.iter().map(|&layer| StateCache::empty(layer)).collect();
        self
    }

    /// The same without states: another size computes all of its layers again.
    #[must_use]
    pub fn without_states(mut self) -> Self {
        self.states = Vec::new();
        self
    }
}

/// Keeps the states that enter a layer, if they are wanted. Shape: `[n_rows, seq, d_model]`.
pub(super) fn keep_states(
    kept: &mut [StateCache],
    layer: usize,
    states: impl FnOnce() -> Tensor<3>,
) {
    if let Some(kept) = kept.iter_mut().find(|kept| kept.layer == layer) {
        kept.push(states());
    }
}

impl LanguageModel {
    /// The cache of another size of the family, which has read `tokens`, as that of this size; the
    /// text continues as if this size had read it. Keeps the states that enter the layers `keep`, as
    /// [`KvCache::keeping_states`] does.
    ///
    /// `n_shared` is the number of leading layers that both sizes have in common
    /// ([`crate::plan::LayerPlan::n_shared_layers`]). Returns with the cache how many layers were not
    /// computed again: all of these where the states that enter the next layer were kept, fewer where
    /// only states before were.
    ///
    /// # Panics
    /// If the cache holds another number of positions than `tokens`, or positions of several texts,
    /// or if one of the sizes has fewer than `n_shared` layers.
    pub fn take_over(
        &self,
        mut cache: KvCache,
        tokens: &[u32],
        n_shared: usize,
        keep: &[usize],
    ) -> (KvCache, usize) {
        assert_eq!(cache.len, tokens.len(), "the cache holds another text");
        assert!(n_shared <= cache.layers.len().min(self.n_layers()), "{n_shared} shared layers");
        let has_all = n_shared == self.n_layers() && n_shared == cache.layers.len();
        let usable = cache.states.iter().filter(|kept| kept.layer <= n_shared);
        let usable = usable.max_by_key(|kept| kept.layer);
        let (n_kept, x) = match usable {
            _ if tokens.is_empty() => (0, None),
            _ if has_all => (n_shared, None),
            Some(kept) => (kept.layer, Some(Tensor::cat(kept.passes.clone(), 1))),
            None => (0, Some(self.embed(self.row(tokens), 0))),
        };
        let shape = KvCache::shape(&self.config, 1, cache.capacity);
        cache.layers.resize_with(n_kept, || LayerCache::empty(shape, &self.device()));
        cache.layers.resize_with(self.n_layers(), || LayerCache::empty(shape, &self.device()));
        let mut before = std::mem::take(&mut cache.states);
        cache.states = keep.iter().map(|&layer| StateCache::empty(layer)).collect();
        for kept in cache.states.iter_mut().filter(|kept| has_all || kept.layer < n_kept) {
            // Where they were not kept before, they are not known now.
            if let Some(before) = before.iter_mut().find(|before| before.layer == kept.layer) {
                std::mem::swap(kept, before);
            }
        }
        cache.states.retain(|kept| kept.len == cache.len || !has_all && kept.layer >= n_kept);
        cache.is_in_memory = all_in_memory(self);
        if let Some(x) = x {
            let len = cache.len;
            let context = Context::continued(&self.config, &cache.rope, 0, len, &self.device());
            self.through_layers(n_kept, x, &context, &mut cache);
        }
        (cache, n_kept)
    }

    /// New positions through the layers from `first` on, which read `x`.
    ///
    /// Shapes: `x` and the result are `[n_rows, seq, d_model]`.
    pub(super) fn through_layers(
        &self,
        first: usize,
        mut x: Tensor<3>,
        context: &Context,
        cache: &mut KvCache,
    ) -> Tensor<3> {
        let KvCache { layers, states, .. } = cache;
        let all = self.layers.iter().zip(layers).enumerate();
        for (index, (layer, layer_cache)) in all.skip(first) {
            keep_states(states, index, || x.clone());
            x = layer.forward(x, context, Some(layer_cache));
        }
        x
    }
}
