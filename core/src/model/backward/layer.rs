//! A layer and its gradients.

use burn::tensor::Tensor;

use super::super::layer::DecoderLayer;
use super::super::norm::Norm;
use super::attention::{KeptAttention, Positions};
use super::mlp::KeptMlp;
use super::ops::{add, normalize, normalize_backward};
use super::{Gradients, Pass};

/// What [`DecoderLayer::backward`] needs. Inputs of norms are kept only where there is a norm.
pub(crate) struct KeptLayer {
    /// `[rows, d_model]`, the input.
    x: Tensor<2>,
    attention: KeptAttention,
    attended: Option<Tensor<2>>,
    attention_sum: Option<Tensor<2>>,
    mlp_input: Option<Tensor<2>>,
    mlp: KeptMlp,
    fed: Option<Tensor<2>>,
    mlp_sum: Option<Tensor<2>>,
}

impl DecoderLayer {
    /// Shapes: `x` and the result are `[batch * seq, d_model]`.
    pub(crate) fn forward_rows(&self, x: Tensor<2>, pass: &Pass) -> Tensor<2> {
        self.forward_keeping(x, pass).0
    }

    /// As [`DecoderLayer::forward_rows`], with what the backward pass needs.
    ///
    /// # Panics
    /// If a correction added a map of the output.
    pub(crate) fn forward_keeping(&self, x: Tensor<2>, pass: &Pass) -> (Tensor<2>, KeptLayer) {
        assert!(self.output_map.is_none(), "corrected models are not trained");
        let normalized = normalize(self.attention_norm.as_ref(), &x);
        let (attended_before, attention) =
            self.attention.forward_keeping(normalized, pass, self.positions(pass));
        let attended = normalize(self.attention_post_norm.as_ref(), &attended_before);
        let attention_sum = add(attended, &x);
        let between = normalize(self.attention_sum_norm.as_ref(), &attention_sum);
        let mlp_input = if self.parallel { &x } else { &between };
        let (fed_before, mlp) =
            self.mlp.forward_keeping(normalize(self.mlp_norm.as_ref(), mlp_input), pass.dtype);
        let fed = normalize(self.mlp_post_norm.as_ref(), &fed_before);
        let mlp_sum = add(fed, &between);
        let y = normalize(self.mlp_sum_norm.as_ref(), &mlp_sum);
        let kept = |norm: &Option<Norm>, x: &Tensor<2>| norm.is_some().then(|| x.clone());
        let kept = KeptLayer {
            attended: kept(&self.attention_post_norm, &attended_before),
            attention_sum: kept(&self.attention_sum_norm, &attention_sum),
            mlp_input: kept(&self.mlp_norm, mlp_input),
            fed: kept(&self.mlp_post_norm, &fed_before),
            mlp_sum: kept(&self.mlp_sum_norm, &mlp_sum),
            x,
            attention,
            mlp,
        };
        (y, kept)
    }

    /// The gradient with respect to the input. Shapes: all `[batch * seq, d_model]`.
    pub(crate) fn backward(
        &self,
        kept: KeptLayer,
        gradient: Tensor<2>,
        pass: &Pass,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let KeptLayer { x, attention, attended, attention_sum, mlp_input, mlp, fed, mlp_sum } =
            kept;
        let of_sum = normalize_backward(self.mlp_sum_norm.as_ref(), mlp_sum, gradient, gradients);
        let of_fed =
            normalize_backward(self.mlp_post_norm.as_ref(), fed, of_sum.clone(), gradients);
        let of_normalized = self.mlp.backward(mlp, &of_fed, pass.dtype, gradients);
        drop(of_fed);
        let by_mlp =
            normalize_backward(self.mlp_norm.as_ref(), mlp_input, of_normalized, gradients);
        // A parallel layer's feed-forward network reads the input, not what attention adds to it.
        let (of_between, of_input) = match self.parallel {
            true => (of_sum, Some(by_mlp)),
            false => (add(of_sum, &by_mlp), None),
        };
        let of_sum = normalize_backward(
            self.attention_sum_norm.as_ref(),
            attention_sum,
            of_between,
            gradients,
        );
        let direct = match of_input {
            Some(by_mlp) => add(of_sum.clone(), &by_mlp),
            None => of_sum.clone(),
        };
        let of_attended =
            normalize_backward(self.attention_post_norm.as_ref(), attended, of_sum, gradients);
        let positions = self.positions(pass);
        let of_normalized =
            self.attention.backward(attention, &of_attended, pass, positions, gradients);
        let by_attention =
            normalize_backward(self.attention_norm.as_ref(), Some(x), of_normalized, gradients);
        add(direct, &by_attention)
    }

    fn positions<'a>(&self, pass: &'a Pass) -> Positions<'a> {
        let mask = pass.context.mask(self.kind()).expect("a pass over whole rows has masks");
        Positions { rope: pass.context.rope(self.kind()), mask }
    }
}
