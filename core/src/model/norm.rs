//! Norms: what keeps the residual stream at a size that the next part can read.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use super::one_row;
use crate::architecture::NormKind;
use crate::config::ModelConfig;

/// A norm over the last dimension; [`NormKind`] says which.
#[derive(Module, Debug)]
pub(crate) struct Norm {
    gamma: Param<Tensor<1>>,
    beta: Option<Param<Tensor<1>>>,
    epsilon: f64,
    #[module(skip)]
    kind: NormKind,
}

impl Norm {
    /// Lazy: no weight exists before it is read or filled.
    pub(super) fn lazy(size: usize, config: &ModelConfig, device: &Device) -> Self {
        let kind = config.traits().norm.kind;
        let beta = (kind == NormKind::Layer).then(|| Initializer::Zeros.init([size], device));
        let gamma = Initializer::Ones.init([size], device);
        Self { gamma, beta, epsilon: config.norm_epsilon, kind }
    }

    /// Shapes: `[.., size]` in and out.
    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let gamma = self.gamma.val();
        let beta = self.beta.as_ref().map(Param::val);
        let in_one = one_row::norm(self.kind, &gamma, beta.as_ref(), self.epsilon, &x);
        in_one.unwrap_or_else(|| self.composed(x))
    }

    fn composed<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let gamma = self.gamma.val().unsqueeze();
        match self.kind {
            NormKind::Rms => self.by_root_mean_square(x) * gamma,
            NormKind::RmsAroundOne => self.by_root_mean_square(x) * (gamma + 1.0),
            NormKind::Layer => {
                let mean = x.clone().mean_dim(D - 1);
                let scaled = self.by_root_mean_square(x - mean) * gamma;
                match &self.beta {
                    Some(beta) => scaled + beta.val().unsqueeze(),
                    None => scaled,
                }
            }
        }
    }

    fn by_root_mean_square<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let root = (x.clone().square().mean_dim(D - 1) + self.epsilon).sqrt();
        x / root
    }
}
