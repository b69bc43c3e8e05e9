//! Norms: what keeps the residual stream at a size that the next part can read.

use boomerang_kernels as kernels;
use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use super::decode::read;
use super::linear::add;
use crate::architecture::NormKind;
use crate::config::ModelConfig;

/// A norm over the last dimension; [`NormKind`] says which.
#[derive(Module, Debug)]
pub(crate) struct Norm {
    pub(super) gamma: Param<Tensor<1>>,
    pub(super) beta: Option<Param<Tensor<1>>>,
    pub(super) epsilon: f64,
    #[module(skip)]
    pub(super) kind: NormKind,
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

    /// As [`Norm::forward`], of rows of numbers, in place.
    pub(super) fn forward_of_rows(&self, rows: &mut [f32]) {
        let around = if self.kind == NormKind::RmsAroundOne { 1.0 } else { 0.0 };
        read(&self.gamma.val(), |gamma| {
            for row in rows.chunks_exact_mut(gamma.len()) {
                if self.kind == NormKind::Layer {
                    kernels::center(row);
                }
                kernels::divide_by_root_mean_square(row, self.epsilon as f32);
                for (value, gamma) in row.iter_mut().zip(gamma) {
                    *value *= gamma + around;
                }
            }
        });
        if let Some(beta) = &self.beta {
            read(&beta.val(), |beta| {
                rows.chunks_exact_mut(beta.len()).for_each(|row| add(row, beta));
            });
        }
    }

    fn by_root_mean_square<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let root = (x.clone().square().mean_dim(D - 1) + self.epsilon).sqrt();
        x / root
    }
}

/// `x` unchanged without a norm.
pub(super) fn normalize<const D: usize>(norm: Option<&Norm>, x: Tensor<D>) -> Tensor<D> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}

/// As [`normalize`], of rows of numbers, in place.
pub(super) fn normalize_rows(norm: Option<&Norm>, rows: &mut [f32]) {
    if let Some(norm) = norm {
        norm.forward_of_rows(rows);
    }
}
