//! The feed-forward network, gated (SwiGLU, arXiv:2002.05202) or plain.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{gelu, gelu_approximate, relu, silu};
use burn::tensor::{Device, Tensor, TensorData};

use super::decode::read;
use super::linear::{linear, linear_of_one};
use crate::architecture::MlpKind;
use crate::config::{Activation, ModelConfig};

/// `down(act(gate(x)) * up(x))`, or `down(act(up(x)))` without a gate.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Mlp {
    pub(super) fn lazy(config: &ModelConfig, device: &Device) -> Self {
        let linear = |d_input, d_output| {
            LinearConfig::new(d_input, d_output).with_bias(config.mlp_bias).init(device)
        };
        let is_gated = config.traits().mlp == MlpKind::Gated;
        Self {
            gate: is_gated.then(|| linear(config.d_model, config.d_ff)),
            up: linear(config.d_model, config.d_ff),
            down: linear(config.d_ff, config.d_model),
            activation: config.activation,
        }
    }

    /// Shapes: `x` and the result are `[batch, seq, d_model]`.
    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let hidden = match &self.gate {
            Some(gate) => self.activation.apply(linear(gate, x.clone())) * linear(&self.up, x),
            None => self.activation.apply(linear(&self.up, x)),
        };
        linear(&self.down, hidden)
    }

    /// As [`Mlp::forward`], for one position.
    pub(super) fn forward_of_one(&self, x: &[f32]) -> Vec<f32> {
        let device = self.up.weight.device();
        let up = linear_of_one(&self.up, x);
        let hidden = match &self.gate {
            Some(gate) => {
                let mut hidden = self.activation.apply_to_one(linear_of_one(gate, x), &device);
                hidden.iter_mut().zip(&up).for_each(|(hidden, up)| *hidden *= up);
                hidden
            }
            None => self.activation.apply_to_one(up, &device),
        };
        linear_of_one(&self.down, &hidden)
    }
}

impl Activation {
    pub(super) fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Silu => silu(x),
            Self::Gelu => gelu(x),
            Self::GeluTanh => gelu_approximate(x),
            Self::Relu => relu(x),
        }
    }

    /// As [`Activation::apply`]: burn's own, so that both paths have the same approximations.
    fn apply_to_one(self, x: Vec<f32>, device: &Device) -> Vec<f32> {
        let shape = [x.len()];
        let y = self.apply(Tensor::<1>::from_data(TensorData::new(x, shape), device));
        read(&y, <[f32]>::to_vec)
    }
}
