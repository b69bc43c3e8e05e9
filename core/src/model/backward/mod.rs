//! Gradients without a graph.
//!
//! Each part of a model has a `forward_keeping`, which computes as `forward` does and keeps what its
//! `backward` needs, and a `backward`, which takes the gradient with respect to the output, adds those
//! of its parameters to [`Gradients`] and returns that with respect to the input. So memory is known
//! beforehand, and a layer can be recomputed from its input when its turn comes.
//!
//! Hidden states are rows here, `[batch * seq, d_model]`. Tests compare every architecture's gradients
//! with those of burn's automatic differentiation.

#![allow(
    clippy::result_large_err,
    reason = "a tensor that is not changed is handed back to the caller"
)]

mod attention;
mod ends;
mod gradients;
mod layer;
mod mlp;
mod ops;
mod step;

pub(crate) use gradients::Gradients;
pub(crate) use layer::KeptLayer;
pub(crate) use step::{AdamW, HeadRow, adamw, cosine_distance, head_loss, sum_of_squares};

use burn::tensor::{DType, Int, Tensor};

use super::attention::softcap;
use super::mask::AttentionMask;
use super::{Context, LanguageModel};
use crate::config::ModelConfig;

/// What all layers of a pass over some rows need.
pub(crate) struct Pass {
    pub(crate) context: Context,
    /// Rows of the batch.
    pub(crate) batch: usize,
    /// Positions of each.
    pub(crate) seq: usize,
    /// Queries that are computed together: their scores are `[batch, heads, queries, seq]`.
    pub(crate) query_block: usize,
    /// Of the numbers that products of matrices read; all others are f32.
    pub(crate) dtype: DType,
}

impl Pass {
    /// A pass of layers of `config`'s kinds, on the device of the mask.
    pub(crate) fn new(
        config: &ModelConfig,
        [batch, seq]: [usize; 2],
        mask: &AttentionMask,
        query_block: usize,
        dtype: DType,
    ) -> Self {
        let context = Context::new(config, seq, mask, &mask.bias().device());
        Self { context, batch, seq, query_block: query_block.max(1), dtype }
    }
}

impl LanguageModel {
    /// The rows before the first layer. Shapes: `[batch, seq]` -> `[batch * seq, d_model]`
    pub(crate) fn embed_rows(&self, tokens: &Tensor<2, Int>) -> Tensor<2> {
        let [batch, seq] = tokens.dims();
        self.embed(tokens.clone(), 0).reshape([batch * seq, self.config.d_model])
    }

    /// Adds the gradients of everything before the first layer, from that of its rows.
    pub(crate) fn embed_backward(
        &self,
        tokens: &Tensor<2, Int>,
        gradient: Tensor<2>,
        gradients: &mut Gradients,
    ) {
        self.embedding.backward(tokens, gradient, gradients);
    }

    /// The final norm of rows.
    pub(crate) fn normalize_rows(&self, x: &Tensor<2>) -> Tensor<2> {
        ops::normalize(self.norm.as_ref(), x)
    }

    /// The gradient with respect to the input of the final norm.
    pub(crate) fn normalize_backward(
        &self,
        x: &Tensor<2>,
        gradient: Tensor<2>,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        ops::normalize_backward(self.norm.as_ref(), Some(x.clone()), gradient, gradients)
    }

    /// Logits of normalized rows. Shapes: `[rows, d_model]` -> `[rows, vocab]`
    ///
    /// # Panics
    /// For a masked language model, whose head is more than a matrix.
    pub(crate) fn head_logits(&self, states: &Tensor<2>, dtype: DType) -> Tensor<2> {
        assert!(self.transform.is_none(), "masked language models are not distilled");
        let logits = ops::product(states.clone(), self.head().weight.val().transpose(), dtype);
        softcap(self.config.logit_softcap, logits)
    }

    /// Gives every parameter that has no gradient one of 0: of the head only where the loss reads
    /// logits.
    pub(crate) fn fill_gradients(&self, reads_logits: bool, gradients: &mut Gradients) {
        gradients.fill(&self.embedding);
        gradients.fill(&self.layers);
        gradients.fill(&self.norm);
        if reads_logits {
            gradients.fill(&self.head);
        }
    }

    /// Adds the gradient of the head's matrix; returns that of the states. `gradient` is that of the
    /// logits before a softcap.
    pub(crate) fn head_backward(
        &self,
        states: &Tensor<2>,
        gradient: Tensor<2>,
        dtype: DType,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let param = match &self.head {
            Some(head) => &head.weight,
            None => &self.embedding.tokens.weight,
        };
        gradients.add_product(param, &gradient, states, dtype);
        ops::product(gradient, param.val(), dtype)
    }
}
