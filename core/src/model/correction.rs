//! The changes that corrections make to a layer.

use burn::module::Param;
use burn::tensor::Tensor;

use super::context::Context;
use super::layer::DecoderLayer;
use super::linear::Linear;
use super::packed::Packed;
use super::parameters::id_of;

impl DecoderLayer {
    /// What the down projection of the MLP reads.
    ///
    /// Shapes: `[batch, seq, d_model]` -> `[batch, seq, d_ff]`
    pub(crate) fn down_inputs(&self, x: Tensor<3>, context: &Context) -> Tensor<3> {
        let (_, mlp_input) = self.attend(x, context, None);
        self.mlp.hidden(mlp_input)
    }

    /// Whether a change of the down projection's output changes the layer's output by as much: no
    /// norm lies between them.
    pub(crate) fn adds_down_outputs(&self) -> bool {
        self.mlp_post_norm.is_none() && self.mlp_sum_norm.is_none()
    }

    pub(crate) fn has_output_map(&self) -> bool {
        self.output_map.is_some()
    }

    pub(crate) fn has_down_bias(&self) -> bool {
        self.mlp.down.bias.is_some()
    }

    /// The layer with these sums added to the weights of its down projection, `[d_ff, d_model]`,
    /// and to its bias, `[d_model]`, if it has one. All other weights are shared.
    pub(crate) fn with_down_changed(&self, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        let mut layer = self.clone();
        let down = &self.mlp.down;
        layer.mlp.down = Linear {
            weight: sum(&down.weight, Some(weight)),
            bias: down.bias.as_ref().map(|of_layer| sum(of_layer, bias)),
            packed: Packed::default(),
        };
        layer
    }

    /// The layer followed by `y · matrix + shift`; shapes `[d_model, d_model]` and `[d_model]`.
    /// All other weights are shared.
    pub(crate) fn with_output_map(&self, matrix: Tensor<2>, shift: Option<Tensor<1>>) -> Self {
        let map = Linear {
            weight: Param::initialized(id_of("output_map.weight"), matrix),
            bias: shift.map(|shift| Param::initialized(id_of("output_map.bias"), shift)),
            packed: Packed::default(),
        };
        Self { output_map: Some(map), ..self.clone() }
    }
}

fn sum<const D: usize>(param: &Param<Tensor<D>>, change: Option<Tensor<D>>) -> Param<Tensor<D>> {
    match change {
        Some(change) => Param::initialized(param.id, param.val() + change),
        None => param.clone(),
    }
}

#[cfg(test)]
#[cfg(feature = "distill")]
#[allow(clippy::disallowed_methods, reason = "a test may block")]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::config::ModelConfig;
    use crate::distill::Initialization;
    use crate::model::{AttentionMask, LanguageModel};

    /// A gated MLP without biases, and one without a gate, with biases, beside the attention.
    const CONFIGS: [&str; 2] = [
        include_str!("../../../tests/fixtures/architectures/smollm3/config.json"),
        include_str!("../../../tests/fixtures/architectures/gpt-neox/config.json"),
    ];

    fn waves(n: usize) -> Vec<f32> {
        (0..n).map(|index| 0.3 * (0.7 * index as f32).sin()).collect()
    }

    #[test]
    fn a_changed_down_projection_adds_what_the_change_makes_of_its_inputs() {
        let device = Device::flex();
        for config in CONFIGS {
            let config = ModelConfig::from_json(config).unwrap();
            let model = LanguageModel::random(&config, Initialization::Scaled, 1, &device);
            let layer = &model.layers()[0];
            let (d_ff, d_model) = (config.d_ff, config.d_model);
            let x = Tensor::<1>::from_floats(&*waves(10 * d_model), &device);
            let x = x.reshape([2, 5, d_model]);
            let weight = Tensor::<1>::from_floats(&*waves(d_ff * d_model), &device);
            let weight = weight.reshape([d_ff, d_model]);
            let bias = Tensor::<1>::from_floats(&*waves(d_model), &device);
            let bias = layer.has_down_bias().then_some(bias);
            let context = model.context(5, &AttentionMask::causal(5, 0, &device));

            let explicit = layer.forward(x.clone(), &context, None)
                + layer.down_inputs(x.clone(), &context).matmul(weight.clone().unsqueeze());
            let explicit = match bias.clone() {
                Some(bias) => explicit + bias.unsqueeze(),
                None => explicit,
            };
            let folded = layer.with_down_changed(weight, bias).forward(x, &context, None);
            let difference: f32 = (folded - explicit).abs().max().into_scalar();
            assert!(difference < 1e-5, "{difference}");
        }
    }
}
