//! What stands before the first layer and after the last one.

use burn::module::{Initializer, Module, Param};
use burn::nn::{Embedding, EmbeddingConfig};
use burn::tensor::{Device, Int, Tensor};

use super::decode::read;
use super::linear::{Linear, Table, add, linear};
use super::norm::{Norm, normalize, normalize_rows};
use crate::architecture::PositionRule;
use crate::config::{Activation, ModelConfig};

/// Tokens as vectors, with what an architecture adds to them.
#[derive(Module, Debug)]
pub(super) struct InputEmbedding {
    pub(super) tokens: Table,
    pub(super) positions: Option<Embedding>,
    /// One vector for each kind of text; a text here is of kind 0.
    pub(super) token_types: Option<Embedding>,
    pub(super) norm: Option<Norm>,
    /// Vectors of tokens are multiplied by this.
    pub(super) scale: Option<f64>,
}

/// Where the tokens of each row stand in their texts.
pub(super) enum Positions<'a> {
    /// One after the other from this one on.
    From(usize),
    /// `[batch, seq]`
    At(&'a Tensor<2, Int>),
}

impl InputEmbedding {
    /// Lazy: no weight exists before it is read or filled.
    pub(super) fn lazy(config: &ModelConfig, device: &Device) -> Self {
        let traits = config.traits();
        let matrix = |rows| EmbeddingConfig::new(rows, config.d_model).init(device);
        let learns_positions = traits.positions == PositionRule::Learned;
        Self {
            tokens: Table::lazy(config.vocab, config.d_model, device),
            positions: learns_positions.then(|| matrix(config.max_seq)),
            token_types: (config.n_token_types > 0).then(|| matrix(config.n_token_types)),
            norm: traits.normalizes_embedding.then(|| Norm::lazy(config.d_model, config, device)),
            scale: traits.scales_embedding.then(|| (config.d_model as f64).sqrt()),
        }
    }

    /// Shapes: `[batch, seq]` -> `[batch, seq, d_model]`
    pub(super) fn forward(&self, tokens: Tensor<2, Int>, at: &Positions<'_>) -> Tensor<3> {
        normalize(self.norm.as_ref(), self.summed(tokens, at))
    }

    /// What the norm reads, of texts that begin with their rows.
    #[cfg(feature = "distill")]
    pub(super) fn before_norm(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.summed(tokens, &Positions::From(0))
    }

    fn summed(&self, tokens: Tensor<2, Int>, at: &Positions<'_>) -> Tensor<3> {
        let [_, seq] = tokens.dims();
        let mut x = self.tokens.rows(tokens);
        if let Some(scale) = self.scale {
            x = x * scale;
        }
        if let Some(token_types) = &self.token_types {
            x = x + token_types.weight.val().narrow(0, 0, 1).unsqueeze();
        }
        if let Some(positions) = &self.positions {
            x = x + match *at {
                Positions::From(start) => positions.weight.val().narrow(0, start, seq).unsqueeze(),
                Positions::At(places) => positions.forward(places.clone()),
            };
        }
        x
    }

    /// As [`InputEmbedding::forward`], of one token.
    pub(super) fn of_one(&self, token: usize, position: usize) -> Vec<f32> {
        let row = |matrix: &Embedding, index: usize, act: &mut dyn FnMut(&[f32])| {
            let weight = matrix.weight.val();
            let width = weight.dims()[1];
            read(&weight, |weight| act(&weight[index * width..(index + 1) * width]));
        };
        let mut x = self.tokens.row(token);
        if let Some(scale) = self.scale {
            x.iter_mut().for_each(|x| *x *= scale as f32);
        }
        if let Some(token_types) = &self.token_types {
            row(token_types, 0, &mut |row| add(&mut x, row));
        }
        if let Some(positions) = &self.positions {
            row(positions, position, &mut |row| add(&mut x, row));
        }
        normalize_rows(self.norm.as_ref(), &mut x);
        x
    }
}

/// What a masked language model does between its last state and the vocabulary (BERT,
/// arXiv:1810.04805).
#[derive(Module, Debug)]
pub(super) struct HeadTransform {
    dense: Linear,
    norm: Norm,
    /// Added to the logits, one for each token.
    logit_bias: Param<Tensor<1>>,
    #[module(skip)]
    activation: Activation,
}

impl HeadTransform {
    /// Lazy: no weight exists before it is read or filled.
    pub(super) fn lazy(config: &ModelConfig, device: &Device) -> Self {
        Self {
            dense: Linear::lazy(config.d_model, config.d_model, true, device),
            norm: Norm::lazy(config.d_model, config, device),
            logit_bias: Initializer::Zeros.init([config.vocab], device),
            activation: config.activation,
        }
    }

    /// What the head's matrix reads. Shapes: `[rows, d_model]` in and out.
    pub(super) fn forward(&self, states: Tensor<2>) -> Tensor<2> {
        self.norm.forward(self.activation.apply(linear(&self.dense, states)))
    }

    /// Shapes: `logits` and the result are `[rows, vocab]`.
    pub(super) fn add_bias(&self, logits: Tensor<2>) -> Tensor<2> {
        logits + self.logit_bias.val().unsqueeze()
    }
}
