//! The model: embedding, a stack of layers, final norm and head.
//!
//! Parts can be shared between models: cloning a layer copies no weights, and patching is built on
//! that.

mod attention;
#[cfg(feature = "distill")]
pub(crate) mod backward;
mod bytes;
mod cache;
mod context;
mod correction;
mod decode;
mod ends;
#[cfg(feature = "distill")]
pub(crate) mod ids;
mod layer;
mod linear;
mod mask;
mod mlp;
mod norm;
pub(crate) mod numbers;
mod packed;
pub mod parameters;
mod rope;
mod switch;
pub(crate) mod transfer;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};

pub use bytes::PartBytes;
pub use cache::KvCache;
pub use context::Context;
use ends::{HeadTransform, InputEmbedding, Positions};
pub use layer::DecoderLayer;
use linear::Table;
pub use mask::AttentionMask;
use norm::{Norm, normalize};
pub(crate) use packed::Packable;
pub use packed::{Values, WeightFormat};
use parameters::Parameter;
pub use transfer::TransferError;

use crate::config::ModelConfig;
use attention::softcap;

/// A language model: a decoder, or an encoder that predicts masked tokens.
#[derive(Module, Debug)]
pub struct LanguageModel {
    embedding: InputEmbedding,
    layers: Vec<DecoderLayer>,
    /// The final norm; masked language models have a transform in its place.
    norm: Option<Norm>,
    transform: Option<HeadTransform>,
    /// Of the embedding's shape, so that a tied teacher's embedding can be a member's head; `None` when
    /// the head is the embedding matrix.
    head: Option<Table>,
    #[module(skip)]
    config: ModelConfig,
}

/// What a forward pass leaves behind.
#[derive(Clone, Debug)]
pub struct ForwardTrace {
    /// The residual stream, each `[batch, seq, d_model]`: the embedding, then the output of each
    /// layer; the last is taken after the final norm. One more than the model has layers, as in
    /// transformers. Masked language models have no final norm.
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
    pub fn build<V: Into<Values>, E>(
        config: &ModelConfig,
        device: &Device,
        source: impl FnMut(&Parameter) -> Result<V, E>,
    ) -> Result<Self, E> {
        parameters::fill(Self::lazy(config, device), "", device, source)
    }

    /// Calls `visit` with every parameter that such a model has; no weight is made.
    pub(crate) fn for_each_parameter(config: &ModelConfig, mut visit: impl FnMut(&Parameter)) {
        let lazy = Self::lazy(config, &Device::default());
        parameters::for_each(&lazy, |parameter, _| visit(parameter));
    }

    fn lazy(config: &ModelConfig, device: &Device) -> Self {
        let layer = |&kind| DecoderLayer::lazy(config, kind, device);
        let is_masked = config.is_masked();
        Self {
            embedding: InputEmbedding::lazy(config, device),
            layers: config.layers.iter().map(layer).collect(),
            norm: (!is_masked).then(|| Norm::lazy(config.d_model, config, device)),
            transform: is_masked.then(|| HeadTransform::lazy(config, device)),
            head: (!config.tied).then(|| Table::lazy(config.vocab, config.d_model, device)),
            config: config.clone(),
        }
    }

    /// A model with the embedding, the final norm and the head of others; nothing is copied.
    ///
    /// Without a `head` it is the embedding matrix; `config` says the rest. The parts have to fit
    /// together, see [`ModelConfig::difference`].
    pub(crate) fn assemble(
        embedding: &Self,
        layers: Vec<DecoderLayer>,
        norm: &Self,
        head: Option<&Self>,
        config: &ModelConfig,
    ) -> Self {
        let kinds = layers.iter().map(DecoderLayer::kind).collect();
        Self {
            embedding: embedding.embedding.clone(),
            layers,
            norm: norm.norm.clone(),
            transform: norm.transform.clone(),
            head: head.map(|head| head.head().clone()),
            config: config.with_layers(kinds, head.is_none()),
        }
    }

    /// The same ends without any layer.
    pub(crate) fn without_layers(&self) -> Self {
        self.with_layers(Vec::new())
    }

    /// The same ends around other layers.
    pub(crate) fn with_layers(&self, layers: Vec<DecoderLayer>) -> Self {
        let kinds = layers.iter().map(DecoderLayer::kind).collect();
        let config = self.config.with_layers(kinds, self.is_tied());
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

    /// The head, which may be the embedding matrix.
    fn head(&self) -> &Table {
        self.head.as_ref().unwrap_or(&self.embedding.tokens)
    }

    pub fn is_tied(&self) -> bool {
        self.head.is_none()
    }

    /// Parameters held in memory; tied embeddings counted once.
    pub fn n_params(&self) -> u64 {
        self.num_params() as u64
    }

    pub fn device(&self) -> Device {
        self.embedding.tokens.device()
    }

    /// What layers of this model need for a text of `seq` positions, on the model's device.
    pub fn context(&self, seq: usize, mask: &AttentionMask) -> Context {
        Context::new(&self.config, seq, mask, &self.device())
    }

    /// The residual stream before the first layer; the text begins at position `start`.
    ///
    /// Shapes: `[batch, seq]` -> `[batch, seq, d_model]`
    pub fn embed(&self, tokens: Tensor<2, Int>, start: usize) -> Tensor<3> {
        self.embedding.forward(tokens, &Positions::From(start))
    }

    /// The residual stream before the first layer, at the positions of a pass.
    ///
    /// Shapes: `[batch, seq]` -> `[batch, seq, d_model]`
    pub(crate) fn embed_at(&self, tokens: Tensor<2, Int>, context: &Context) -> Tensor<3> {
        self.embedding.forward(tokens, &context.positions())
    }

    /// The final norm, where there is one. Shapes: `x` and the result are `[batch, seq, d_model]`.
    pub fn normalize(&self, x: Tensor<3>) -> Tensor<3> {
        normalize(self.norm.as_ref(), x)
    }

    /// Logits of normalized states. Shapes: `[rows, d_model]` -> `[rows, vocab]`
    pub fn logits(&self, states: Tensor<2>) -> Tensor<2> {
        let Some(transform) = &self.transform else {
            return softcap(self.config.logit_softcap, self.head().products(states));
        };
        transform.add_bias(self.head().products(transform.forward(states)))
    }

    /// All hidden states, see [`ForwardTrace::hidden_states`], without computing logits.
    pub fn hidden_states(&self, tokens: Tensor<2, Int>, mask: &AttentionMask) -> Vec<Tensor<3>> {
        let [_, seq] = tokens.dims();
        let context = self.context(seq, mask);
        let mut states = Vec::with_capacity(self.layers.len() + 1);
        let mut x = self.embed(tokens, 0);
        for layer in &self.layers {
            states.push(x.clone());
            x = layer.forward(x, &context, None);
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

    /// Continues a text: logits after the last of the new tokens, `[1, vocab]`.
    ///
    /// The tokens stand at the positions after those in the cache. A single one is decoded on the
    /// numbers themselves where the cache was made for it (`decode.rs`).
    ///
    /// # Panics
    /// If `tokens` is empty, if the cache is too small for them or was made for another stack, or if
    /// the model predicts masked tokens and does not continue texts.
    pub fn next_logits(&self, tokens: &[u32], cache: &mut KvCache) -> Tensor<2> {
        if let (&[token], true) = (tokens, cache.is_in_memory) {
            self.check_room(1, cache);
            return self.decode(token, cache);
        }
        self.next_logits_of_rows(self.row(tokens), cache)
    }

    /// As [`LanguageModel::next_logits`], for several texts that stand at the same position.
    ///
    /// Shapes: `[n_rows, seq]` -> `[n_rows, vocab]`
    ///
    /// # Panics
    /// As [`LanguageModel::next_logits`], and if the cache is for another number of texts.
    pub fn next_logits_of_rows(&self, tokens: Tensor<2, Int>, cache: &mut KvCache) -> Tensor<2> {
        let [_, seq] = tokens.dims();
        let x = self.continued(tokens, cache);
        let last = self.normalize(x.narrow(1, seq - 1, 1));
        self.logits(last.squeeze_dim::<2>(1))
    }

    /// As [`LanguageModel::next_logits`], after each of the last `n` new tokens, `[n, vocab]`.
    ///
    /// # Panics
    /// As [`LanguageModel::next_logits`], and if there are fewer than `n` new tokens, or `n` is 0.
    pub fn continued_logits(&self, tokens: &[u32], n: usize, cache: &mut KvCache) -> Tensor<2> {
        assert!(0 < n && n <= tokens.len(), "{n} of {} positions", tokens.len());
        if n == 1 {
            return self.next_logits(tokens, cache);
        }
        let x = self.continued(self.row(tokens), cache);
        self.logits(self.normalize(x.narrow(1, tokens.len() - n, n)).squeeze_dim::<2>(0))
    }

    /// A text on the model's device, `[1, seq]`.
    pub(crate) fn row(&self, tokens: &[u32]) -> Tensor<2, Int> {
        let data: Vec<i64> = tokens.iter().map(|&token| i64::from(token)).collect();
        Tensor::from_data(TensorData::new(data, [1, tokens.len()]), &self.device())
    }

    /// The residual stream after the last layer, of new positions. Shapes: `[n_rows, seq]` ->
    /// `[n_rows, seq, d_model]`
    fn continued(&self, tokens: Tensor<2, Int>, cache: &mut KvCache) -> Tensor<3> {
        let [_, seq] = tokens.dims();
        self.check_room(seq, cache);
        let past = cache.len;
        let context = Context::continued(&self.config, &cache.rope, past, seq, &self.device());
        let x = self.through_layers(0, self.embed(tokens, past), &context, cache);
        cache.len += seq;
        x
    }

    fn check_room(&self, seq: usize, cache: &KvCache) {
        assert!(!self.config.is_masked(), "a masked language model does not continue texts");
        assert!(0 < seq && seq <= cache.room(), "the cache does not take {seq} more positions");
        assert_eq!(cache.layers.len(), self.layers.len(), "the cache belongs to another size");
    }
}
