//! The gradients of what stands before the first layer.

use burn::module::Param;
use burn::tensor::{IndexingUpdateOp, Int, Tensor};

use super::super::ends::InputEmbedding;
use super::Gradients;
use super::ops::norm_backward;

impl InputEmbedding {
    /// Adds the gradients of its matrices and of its norm.
    ///
    /// Shapes: `tokens` is `[batch, seq]`, `gradient` `[batch * seq, d_model]`.
    pub(super) fn backward(
        &self,
        tokens: &Tensor<2, Int>,
        gradient: Tensor<2>,
        gradients: &mut Gradients,
    ) {
        let [batch, seq] = tokens.dims();
        let [rows, d_model] = gradient.dims();
        let gradient = match &self.norm {
            Some(norm) => {
                let x = self.before_norm(tokens.clone()).reshape([rows, d_model]);
                norm_backward(norm, &x, gradient, gradients)
            }
            None => gradient,
        };
        if let Some(token_types) = &self.token_types {
            let index = Tensor::zeros([rows], &tokens.device());
            add_rows(&token_types.weight, index, gradient.clone(), gradients);
        }
        if let Some(positions) = &self.positions {
            let index = Tensor::<1, Int>::arange(0..seq as i64, &tokens.device());
            let by_position: Tensor<2> =
                gradient.clone().reshape([batch, seq, d_model]).sum_dim(0).squeeze_dim(0);
            add_rows(&positions.weight, index, by_position, gradients);
        }
        let gradient = match self.scale {
            Some(scale) => gradient * scale,
            None => gradient,
        };
        add_rows(&self.tokens.weight, tokens.clone().reshape([rows]), gradient, gradients);
    }
}

/// Adds rows of gradients to those of a matrix at these indices.
fn add_rows(
    weight: &Param<Tensor<2>>,
    indices: Tensor<1, Int>,
    rows: Tensor<2>,
    gradients: &mut Gradients,
) {
    if !gradients.wants(weight) {
        return;
    }
    let sum = gradients.take(weight);
    let sum = sum.unwrap_or_else(|| weight.val().zeros_like());
    let sum = sum.select_assign(0, indices, rows, IndexingUpdateOp::Add);
    gradients.put(weight, sum);
}
