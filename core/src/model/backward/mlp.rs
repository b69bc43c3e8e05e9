//! The feed-forward network and its gradients.

use burn::tensor::{DType, Tensor};

use super::super::mlp::Mlp;
use super::Gradients;
use super::ops::{add, gated, gated_backward, linear, linear_backward};

/// What [`Mlp::backward`] needs. All rows.
pub(super) struct KeptMlp {
    /// `[rows, d_model]`
    x: Tensor<2>,
    /// What the activation reads, `[rows, d_ff]`.
    gate: Tensor<2>,
    /// What the activation's value is multiplied by, `[rows, d_ff]`.
    up: Option<Tensor<2>>,
}

impl Mlp {
    /// Shapes: `x` and the result are `[rows, d_model]`.
    pub(super) fn forward_keeping(&self, x: Tensor<2>, dtype: DType) -> (Tensor<2>, KeptMlp) {
        let up = linear(&self.up, x.clone(), dtype);
        let (gate, up) = match &self.gate {
            Some(gate) => (linear(gate, x.clone(), dtype), Some(up)),
            None => (up, None),
        };
        let y = linear(&self.down, gated(self.activation, &gate, up.as_ref()), dtype);
        (y, KeptMlp { x, gate, up })
    }

    pub(super) fn backward(
        &self,
        kept: KeptMlp,
        gradient: &Tensor<2>,
        dtype: DType,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let KeptMlp { x, gate, up } = kept;
        let hidden = gated(self.activation, &gate, up.as_ref());
        let of_hidden = linear_backward(&self.down, &hidden, gradient, dtype, gradients);
        drop(hidden);
        let (of_gate, of_up) = gated_backward(self.activation, &gate, up.as_ref(), of_hidden);
        drop((gate, up));
        match (&self.gate, of_up) {
            (Some(gate), Some(of_up)) => {
                let by_gate = linear_backward(gate, &x, &of_gate, dtype, gradients);
                add(by_gate, &linear_backward(&self.up, &x, &of_up, dtype, gradients))
            }
            _ => linear_backward(&self.up, &x, &of_gate, dtype, gradients),
        }
    }
}
