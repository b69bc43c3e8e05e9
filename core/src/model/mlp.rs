//! The feed-forward network, gated (SwiGLU, arXiv:2002.05202) or plain.

#[cfg(feature = "distill")]
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use burn::module::Module;
#[cfg(feature = "distill")]
use burn::tensor::activation::sigmoid;
use burn::tensor::activation::{gelu, gelu_approximate, relu, silu};
use burn::tensor::{Device, Tensor, TensorData};

use super::decode::read;
use super::linear::{Linear, linear, linear_of_one};
use crate::architecture::MlpKind;
use crate::config::{Activation, ModelConfig};

/// `down(act(gate(x)) * up(x))`, or `down(act(up(x)))` without a gate.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(super) gate: Option<Linear>,
    pub(super) up: Linear,
    pub(super) down: Linear,
    #[module(skip)]
    pub(super) activation: Activation,
}

impl Mlp {
    pub(super) fn lazy(config: &ModelConfig, device: &Device) -> Self {
        let linear = |d_input, d_output| Linear::lazy(d_input, d_output, config.mlp_bias, device);
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
        linear(&self.down, self.hidden(x))
    }

    /// What the down projection reads. Shapes: `[batch, seq, d_model]` -> `[batch, seq, d_ff]`
    pub(super) fn hidden(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.gate {
            Some(gate) => self.activation.apply(linear(gate, x.clone())) * linear(&self.up, x),
            None => self.activation.apply(linear(&self.up, x)),
        }
    }

    /// As [`Mlp::forward`], for one position.
    pub(super) fn forward_of_one(&self, x: &[f32]) -> Vec<f32> {
        let device = self.up.weight.lazy_device();
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

    /// Its value and its derivative.
    #[cfg(feature = "distill")]
    pub(super) fn with_slope(self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let value = self.apply(x.clone());
        let slope = match self {
            Self::Silu => {
                let sigmoid = sigmoid(x.clone());
                sigmoid.clone() + value.clone() * (-sigmoid + 1.0)
            }
            Self::Gelu => {
                let below = (x.clone() * FRAC_1_SQRT_2).erf() * 0.5 + 0.5;
                let density =
                    (x.clone().square() * -0.5).exp() * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
                below + x * density
            }
            Self::GeluTanh => {
                const CUBIC: f64 = 0.044_715;
                let root = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
                let squared = x.clone().square();
                let tanh = ((squared.clone() * CUBIC + 1.0) * x.clone() * root).tanh();
                let inner = (squared * (3.0 * CUBIC) + 1.0) * root;
                (tanh.clone() + 1.0) * 0.5 + x * (-tanh.square() + 1.0) * inner * 0.5
            }
            Self::Relu => x.greater_scalar(0.0).float(),
        };
        (value, slope)
    }

    /// As [`Activation::apply`]: burn's own, so that both paths have the same approximations.
    fn apply_to_one(self, x: Vec<f32>, device: &Device) -> Vec<f32> {
        let shape = [x.len()];
        let y = self.apply(Tensor::<1>::from_data(TensorData::new(x, shape), device));
        read(&y, <[f32]>::to_vec)
    }
}
