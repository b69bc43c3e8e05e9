//! One transformer layer.

use burn::module::Module;
use burn::nn::{RmsNorm, RmsNormConfig};
use burn::tensor::{Device, Tensor, TensorData};

use super::attention::Attention;
use super::cache::LayerCache;
use super::mask::AttentionMask;
use super::mlp::Mlp;
use super::parameters::{self, Parameter};
use super::rope::RotaryTable;
use crate::config::ModelConfig;

/// Attention and MLP, each behind its norm and added to the residual stream.
///
/// A layer does not know its place in the stack: the same layer serves every member of a family.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    attention_norm: RmsNorm,
    attention: Attention,
    mlp_norm: RmsNorm,
    mlp: Mlp,
}

impl DecoderLayer {
    pub(super) fn lazy(config: &ModelConfig, device: &Device) -> Self {
        let norm = RmsNormConfig::new(config.d_model).with_epsilon(config.norm_epsilon);
        Self {
            attention_norm: norm.init(device),
            attention: Attention::lazy(config, device),
            mlp_norm: norm.init(device),
            mlp: Mlp::lazy(config, device),
        }
    }

    /// A layer with the parameters that `source` has under their paths inside the layer
    /// (`attention.query.weight`).
    ///
    /// # Errors
    /// The first error of `source`.
    pub fn build<E>(
        config: &ModelConfig,
        device: &Device,
        source: impl FnMut(&Parameter) -> Result<TensorData, E>,
    ) -> Result<Self, E> {
        parameters::fill(Self::lazy(config, device), "", device, source)
    }

    /// Shapes: `x` and the result are `[batch, seq, d_model]`; `mask` is not needed for one new
    /// position that sees the whole cache.
    pub(crate) fn forward(
        &self,
        x: Tensor<3>,
        rope: &RotaryTable,
        mask: Option<&AttentionMask>,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<3> {
        let attended =
            self.attention.forward(self.attention_norm.forward(x.clone()), rope, mask, cache);
        let x = x + attended;
        let fed = self.mlp.forward(self.mlp_norm.forward(x.clone()));
        x + fed
    }
}
