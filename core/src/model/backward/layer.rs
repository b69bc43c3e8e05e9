//! A layer and its gradients.

use burn::tensor::Tensor;

use super::super::layer::DecoderLayer;
use super::super::norm::Norm;
use super::attention::{KeptAttention, Positions};
use super::mlp::KeptMlp;
use super::ops::{add, norm, norm_backward};
use super::{Gradients, Pass};

/// What [`DecoderLayer::backward`] needs. Inputs of norms are kept only where there is a norm.
pub(crate) struct KeptLayer {
    /// `[rows, d_model]`, the input.
    x: Tensor<2>,
    attention: KeptAttention,
    attended: Option<Tensor<2>>,
    attention_sum: Option<Tensor<2>>,
    /// What the feed-forward network's norm reads.
    between: Option<Tensor<2>>,
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
    pub(crate) fn forward_keeping(&self, x: Tensor<2>, pass: &Pass) -> (Tensor<2>, KeptLayer) {
        let normalized = through(self.attention_norm.as_ref(), &x);
        let (attended_before, attention) =
            self.attention.forward_keeping(normalized, pass, self.positions(pass));
        let attended = through(self.attention_post_norm.as_ref(), &attended_before);
        let kept = |norm: &Option<Norm>, x: &Tensor<2>| norm.is_some().then(|| x.clone());
        if self.parallel {
            let (fed_before, mlp) = self.mlp.forward_keeping(through(self.mlp_norm.as_ref(), &x));
            let fed = through(self.mlp_post_norm.as_ref(), &fed_before);
            let y = add(add(attended, &x), &fed);
            let kept = KeptLayer {
                attended: kept(&self.attention_post_norm, &attended_before),
                fed: kept(&self.mlp_post_norm, &fed_before),
                x,
                attention,
                attention_sum: None,
                between: None,
                mlp,
                mlp_sum: None,
            };
            return (y, kept);
        }
        let attention_sum = add(attended, &x);
        let between = through(self.attention_sum_norm.as_ref(), &attention_sum);
        let (fed_before, mlp) = self.mlp.forward_keeping(through(self.mlp_norm.as_ref(), &between));
        let fed = through(self.mlp_post_norm.as_ref(), &fed_before);
        let mlp_sum = add(fed, &between);
        let y = through(self.mlp_sum_norm.as_ref(), &mlp_sum);
        let kept = KeptLayer {
            attended: kept(&self.attention_post_norm, &attended_before),
            attention_sum: kept(&self.attention_sum_norm, &attention_sum),
            between: kept(&self.mlp_norm, &between),
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
        let KeptLayer { x, attention, attended, attention_sum, between, mlp, fed, mlp_sum } = kept;
        // Of the sum of what the feed-forward network adds to.
        let of_sum = back(self.mlp_sum_norm.as_ref(), mlp_sum, gradient, gradients);
        let of_fed = back(self.mlp_post_norm.as_ref(), fed, of_sum.clone(), gradients);
        let of_normalized = self.mlp.backward(mlp, &of_fed, gradients);
        drop(of_fed);
        let of_attended = if self.parallel {
            let by_mlp = back(self.mlp_norm.as_ref(), Some(x.clone()), of_normalized, gradients);
            let of_attended = of_sum.clone();
            return self.attention_backward(
                (x, attention, attended),
                (of_attended, add(of_sum, &by_mlp)),
                pass,
                gradients,
            );
        } else {
            let by_mlp = back(self.mlp_norm.as_ref(), between, of_normalized, gradients);
            let of_between = add(of_sum, &by_mlp);
            back(self.attention_sum_norm.as_ref(), attention_sum, of_between, gradients)
        };
        let direct = of_attended.clone();
        self.attention_backward((x, attention, attended), (of_attended, direct), pass, gradients)
    }

    /// The gradient with respect to the input, from that of what attention adds and that of the input
    /// itself.
    fn attention_backward(
        &self,
        (x, attention, attended): (Tensor<2>, KeptAttention, Option<Tensor<2>>),
        (of_attended, direct): (Tensor<2>, Tensor<2>),
        pass: &Pass,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let of_attended = back(self.attention_post_norm.as_ref(), attended, of_attended, gradients);
        let of_normalized =
            self.attention.backward(attention, &of_attended, pass, self.positions(pass), gradients);
        let by_attention = back(self.attention_norm.as_ref(), Some(x), of_normalized, gradients);
        add(direct, &by_attention)
    }

    fn positions<'a>(&self, pass: &'a Pass) -> Positions<'a> {
        let mask = pass.context.mask(self.kind()).expect("a pass over whole rows has masks");
        Positions { rope: pass.context.rope(self.kind()), mask }
    }
}

/// `x` itself where there is no norm.
fn through(by: Option<&Norm>, x: &Tensor<2>) -> Tensor<2> {
    match by {
        Some(by) => norm(by, x),
        None => x.clone(),
    }
}

/// The gradient before a norm that read `input`; `gradient` itself where there is no norm.
fn back(
    by: Option<&Norm>,
    input: Option<Tensor<2>>,
    gradient: Tensor<2>,
    gradients: &mut Gradients,
) -> Tensor<2> {
    match (by, input) {
        (Some(by), Some(input)) => norm_backward(by, &input, gradient, gradients),
        _ => gradient,
    }
}
