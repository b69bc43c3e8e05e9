//! The feed-forward network, gated (SwiGLU, arXiv:2002.05202) or plain.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{gelu, gelu_approximate, relu, silu};
use burn::tensor::{Device, Tensor};

use super::layer::linear;
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
}
