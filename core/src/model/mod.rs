//! The decoder: embedding, a stack of layers, final norm and head.
//!
//! Parts can be shared between models: cloning a layer copies no weights, and patching is built on
//! that.

mod attention;
mod cache;
mod layer;
mod mask;
mod mlp;
pub mod parameters;
mod rope;

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, RmsNorm, RmsNormConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};

pub use cache::KvCache;
pub use layer::DecoderLayer;
pub use mask::AttentionMask;
use parameters::Parameter;
pub use rope::RotaryTable;

use crate::config::ModelConfig;

/// A decoder-only language model.
#[derive(Module, Debug)]
pub struct LanguageModel {
    embedding: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
    /// `None` when the head is the embedding matrix.
    head: Option<Head>,
    #[module(skip)]
    config: ModelConfig,
}

/// The language-model head. Its matrix is `[vocab, d_model]`, the embedding's shape, so that a tied
/// teacher's embedding can be a member's head.
#[derive(Module, Debug)]
pub struct Head {
    weight: Param<Tensor<2>>,
}

/// What a forward pass leaves behind.
#[derive(Clone, Debug)]
pub struct ForwardTrace {
    /// The residual stream, each `[batch, seq, d_model]`: the embedding, then the output of each
    /// layer; the last is taken after the final norm. One more than the model has layers, as in
    /// transformers.
    pub hidden_states: Vec<Tensor<3>>,
    /// `[batch, seq, vocab]`
    pub logits: Tensor<3>,
}

impl LanguageModel {
    /// A model with the parameters that `source` has under their paths
    /// (`layers.3.attention.query.weight`; `head.weight` only when the head is not tied).
    ///
    /// # Errors
    /// The first error of `source`.
    pub fn build<E>(
        config: &ModelConfig,
        device: &Device,
        source: impl FnMut(&Parameter) -> Result<TensorData, E>,
    ) -> Result<Self, E> {
        let embedding = || EmbeddingConfig::new(config.vocab, config.d_model).init(device);
        let lazy = Self {
            embedding: embedding(),
            layers: (0..config.n_layers).map(|_| DecoderLayer::lazy(config, device)).collect(),
            norm: RmsNormConfig::new(config.d_model).with_epsilon(config.norm_epsilon).init(device),
            head: (!config.tied).then(|| Head { weight: embedding().weight }),
            config: config.clone(),
        };
        parameters::fill(lazy, "", device, source)
    }

    /// A model from parts of others; nothing is copied.
    ///
    /// The parts have to fit together, see [`ModelConfig::difference`].
    pub(crate) fn assemble(
        embedding: Embedding,
        layers: Vec<DecoderLayer>,
        norm: RmsNorm,
        head: Option<Head>,
        config: &ModelConfig,
    ) -> Self {
        let config = config.resized(layers.len(), head.is_none());
        Self { embedding, layers, norm, head, config }
    }

    /// The same ends without any layer.
    pub(crate) fn without_layers(&self) -> Self {
        self.with_layers(Vec::new())
    }

    /// The same ends around other layers.
    pub(crate) fn with_layers(&self, layers: Vec<DecoderLayer>) -> Self {
        let config = self.config.resized(layers.len(), self.is_tied());
        Self { layers, config, ..self.clone() }
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    pub fn layers(&self) -> &[DecoderLayer] {
        &self.layers
    }

    pub(crate) fn embedding(&self) -> &Embedding {
        &self.embedding
    }

    pub(crate) fn norm(&self) -> &RmsNorm {
        &self.norm
    }

    /// The head as a part of its own, also when it is the embedding matrix.
    pub(crate) fn head(&self) -> Head {
        let tied = || Head { weight: self.embedding.weight.clone() };
        self.head.clone().unwrap_or_else(tied)
    }

    pub fn is_tied(&self) -> bool {
        self.head.is_none()
    }

    /// Parameters held in memory; tied embeddings counted once.
    pub fn n_params(&self) -> usize {
        self.num_params()
    }

    pub fn device(&self) -> Device {
        self.embedding.weight.device().inner()
    }

    /// The same weights, off the training graph.
    pub(crate) fn without_gradients(self) -> Self {
        parameters::off_graph(self)
    }

    /// Positions `0..seq`, on the model's device.
    pub fn rope(&self, seq: usize) -> RotaryTable {
        RotaryTable::new(0, seq, self.config.d_head, self.config.rope_theta, &self.device())
    }

    /// Shapes: `[batch, seq]` -> `[batch, seq, d_model]`
    pub fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.embedding.forward(tokens)
    }

    /// The final norm. Shapes: `x` and the result are `[batch, seq, d_model]`.
    pub fn normalize(&self, x: Tensor<3>) -> Tensor<3> {
        self.norm.forward(x)
    }

    /// Logits of normalised states. Shapes: `[rows, d_model]` -> `[rows, vocab]`
    pub fn logits(&self, states: Tensor<2>) -> Tensor<2> {
        let weight = match &self.head {
            Some(head) => head.weight.val(),
            None => self.embedding.weight.val(),
        };
        states.matmul(weight.transpose())
    }

    /// All hidden states, see [`ForwardTrace::hidden_states`], without computing logits.
    pub fn hidden_states(&self, tokens: Tensor<2, Int>, mask: &AttentionMask) -> Vec<Tensor<3>> {
        let [_, seq] = tokens.dims();
        let rope = self.rope(seq);
        let mut states = Vec::with_capacity(self.layers.len() + 1);
        let mut x = self.embed(tokens);
        for layer in &self.layers {
            states.push(x.clone());
            x = layer.forward(x, &rope, Some(mask), None);
        }
        states.push(self.normalize(x));
        states
    }

    /// One pass that keeps everything. Shape: `tokens` is `[batch, seq]`.
    pub fn trace(&self, tokens: Tensor<2, Int>, mask: &AttentionMask) -> ForwardTrace {
        let [batch, seq] = tokens.dims();
        let hidden_states = self.hidden_states(tokens, mask);
        let last = hidden_states[self.layers.len()].clone();
        let rows = last.reshape([batch * seq, self.config.d_model]);
        let logits = self.logits(rows).reshape([batch, seq, self.config.vocab]);
        ForwardTrace { hidden_states, logits }
    }

    /// Continues a text: logits after the last of the new tokens, `[batch, vocab]`.
    ///
    /// Shape: `tokens` is `[batch, seq]`, the positions after those in the cache.
    ///
    /// # Panics
    /// When the cache has no room for `seq` more positions, or was made for another stack.
    pub fn next_logits(&self, tokens: Tensor<2, Int>, cache: &mut KvCache) -> Tensor<2> {
        let [_, seq] = tokens.dims();
        assert!(seq <= cache.room(), "the cache has no room for {seq} more positions");
        assert_eq!(cache.layers.len(), self.layers.len(), "the cache belongs to another size");
        let past = cache.len;
        let rope = cache.rope.slice(past, seq);
        // A single new position sees everything.
        let mask = (seq > 1).then(|| AttentionMask::causal(seq, past, &tokens.device()));
        let mut x = self.embed(tokens);
        for (layer, cache) in self.layers.iter().zip(&mut cache.layers) {
            x = layer.forward(x, &rope, mask.as_ref(), Some(cache));
        }
        cache.len += seq;
        let last = self.normalize(x.narrow(1, seq - 1, 1));
        self.logits(last.squeeze_dim::<2>(1))
    }
}
