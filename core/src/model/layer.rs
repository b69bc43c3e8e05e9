//! One transformer layer.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::attention::Attention;
use super::cache::LayerCache;
use super::context::Context;
use super::decode::sum;
use super::linear::{Linear, linear, linear_of_one};
use super::mlp::Mlp;
use super::norm::{Norm, normalize, normalize_rows};
use super::packed::Values;
use super::parameters::{self, Parameter};
use super::rope::RotaryTable;
use crate::config::{LayerKind, ModelConfig};

/// Attention and MLP, each behind its norms and added to the residual stream.
///
/// A layer does not know its index in the stack: the same layer serves every member of a family.
/// What it does differently from its neighbors, it carries along as its [`LayerKind`].
#[derive(Module, Debug)]
pub struct DecoderLayer {
    pub(super) attention_norm: Option<Norm>,
    pub(super) attention: Attention,
    pub(super) attention_post_norm: Option<Norm>,
    pub(super) attention_sum_norm: Option<Norm>,
    pub(super) mlp_norm: Option<Norm>,
    pub(super) mlp: Mlp,
    pub(super) mlp_post_norm: Option<Norm>,
    pub(super) mlp_sum_norm: Option<Norm>,
    pub(super) parallel: bool,
    /// A map of the output, which only a correction adds: checkpoints have no name for it.
    pub(super) output_map: Option<Linear>,
    #[module(skip)]
    pub(super) kind: LayerKind,
}

impl DecoderLayer {
    pub(super) fn lazy(config: &ModelConfig, kind: LayerKind, device: &Device) -> Self {
        let norms = config.traits().norm;
        let norm = |is_there: bool| is_there.then(|| Norm::lazy(config.d_model, config, device));
        Self {
            attention_norm: norm(norms.before),
            attention: Attention::lazy(config, device),
            attention_post_norm: norm(norms.after),
            attention_sum_norm: norm(norms.after_sum),
            mlp_norm: norm(norms.before),
            mlp: Mlp::lazy(config, device),
            mlp_post_norm: norm(norms.after),
            mlp_sum_norm: norm(norms.after_sum),
            parallel: config.parallel,
            output_map: None,
            kind,
        }
    }

    /// A layer with the parameters that `source` has under their paths inside the layer, behind
    /// `prefix` if there is one (`layers.3` asks for `layers.3.attention.query.weight`).
    ///
    /// # Errors
    /// The first error of `source`.
    pub fn build<V: Into<Values>, E>(
        config: &ModelConfig,
        kind: LayerKind,
        prefix: &str,
        device: &Device,
        source: impl FnMut(&Parameter) -> Result<V, E>,
    ) -> Result<Self, E> {
        parameters::fill(Self::lazy(config, kind, device), prefix, device, source)
    }

    /// What this layer does that its neighbor may not.
    pub fn kind(&self) -> LayerKind {
        self.kind
    }

    /// Shapes: `x` and the result are `[batch, seq, d_model]`.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        context: &Context,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<3> {
        let (residual, mlp_input) = self.attend(x, context, cache);
        let fed = normalize(self.mlp_post_norm.as_ref(), self.mlp.forward(mlp_input));
        let y = normalize(self.mlp_sum_norm.as_ref(), residual + fed);
        match &self.output_map {
            Some(map) => linear(map, y),
            None => y,
        }
    }

    /// What the output of the MLP is added to, and what the MLP reads.
    ///
    /// Shapes: all `[batch, seq, d_model]`.
    pub(super) fn attend(
        &self,
        x: Tensor<3>,
        context: &Context,
        cache: Option<&mut LayerCache>,
    ) -> (Tensor<3>, Tensor<3>) {
        let (rope, mask) = (context.rope(self.kind), context.mask(self.kind));
        let attended = normalize(self.attention_norm.as_ref(), x.clone());
        let attended = self.attention.forward(attended, rope, mask, cache);
        let attended = normalize(self.attention_post_norm.as_ref(), attended);
        if self.parallel {
            return (x.clone() + attended, normalize(self.mlp_norm.as_ref(), x));
        }
        let residual = normalize(self.attention_sum_norm.as_ref(), x + attended);
        (residual.clone(), normalize(self.mlp_norm.as_ref(), residual))
    }

    /// As [`DecoderLayer::forward`], for the one position after those in the cache.
    pub(super) fn forward_of_one(
        &self,
        x: Vec<f32>,
        rope: Option<&RotaryTable>,
        position: usize,
        cache: &mut LayerCache,
    ) -> Vec<f32> {
        let normalized = |norm: &Option<Norm>, mut x: Vec<f32>| {
            normalize_rows(norm.as_ref(), &mut x);
            x
        };
        let attended = normalized(&self.attention_norm, x.clone());
        let window = self.kind.window;
        let attended = self.attention.forward_of_one(&attended, rope, position, window, cache);
        let attended = normalized(&self.attention_post_norm, attended);
        let fed = |x: &[f32]| {
            let fed = self.mlp.forward_of_one(&normalized(&self.mlp_norm, x.to_vec()));
            normalized(&self.mlp_post_norm, fed)
        };
        let y = if self.parallel {
            let fed = fed(&x);
            sum(sum(x, &attended), &fed)
        } else {
            let x = normalized(&self.attention_sum_norm, sum(x, &attended));
            let fed = fed(&x);
            normalized(&self.mlp_sum_norm, sum(x, &fed))
        };
        match &self.output_map {
            Some(map) => linear_of_one(map, &y),
            None => y,
        }
    }
}
