//! Gradients by parameter, summed over micro-batches.

use std::collections::HashSet;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor};

use super::ops::{add, add_product, product};

/// The gradients of a model's parameters, on its device.
#[derive(Default)]
pub(crate) struct Gradients {
    sums: GradientsParams,
    frozen: HashSet<ParamId>,
}

impl Gradients {
    /// None yet; those of `frozen` parameters are never computed.
    pub(crate) fn new(frozen: HashSet<ParamId>) -> Self {
        Self { sums: GradientsParams::new(), frozen }
    }

    /// Never computes those of these parameters either.
    pub(crate) fn freeze(&mut self, others: &HashSet<ParamId>) {
        self.frozen.extend(others);
    }

    /// Gives the parameters of `part` that have no gradient one of 0, unless they are frozen.
    pub(crate) fn fill<M: Module>(&mut self, part: &M) {
        part.visit(&mut Fill { gradients: self });
    }

    /// Whether the gradient of a parameter is of any use.
    pub(crate) fn wants<const D: usize>(&self, param: &Param<Tensor<D>>) -> bool {
        !self.frozen.contains(&param.id)
    }

    /// Adds to the gradient of a parameter, unless it is frozen.
    pub(crate) fn add<const D: usize>(
        &mut self,
        param: &Param<Tensor<D>>,
        gradient: impl FnOnce() -> Tensor<D>,
    ) {
        if self.wants(param) {
            let gradient = gradient();
            let sum = match self.sums.remove::<D>(param.id) {
                Some(sum) => add(sum, &gradient),
                None => gradient,
            };
            self.sums.register(param.id, sum);
        }
    }

    /// Adds `xᵀ · y` to the gradient of a parameter, unless it is frozen: into the sum itself where its
    /// numbers are found, so that no product as large as the parameter exists beside it. The product is
    /// one of numbers in `dtype`.
    ///
    /// Shapes: `x` is `[rows, n]` and `y` `[rows, m]` for a parameter of `[n, m]`.
    pub(crate) fn add_product(
        &mut self,
        param: &Param<Tensor<2>>,
        x: &Tensor<2>,
        y: &Tensor<2>,
        dtype: DType,
    ) {
        if !self.wants(param) {
            return;
        }
        let sum = match self.sums.remove::<2>(param.id) {
            Some(sum) => add_product(sum, x, y, dtype),
            None => product(x.clone().transpose(), y.clone(), dtype),
        };
        self.sums.register(param.id, sum);
    }

    /// Takes the gradient of a parameter out; `None` where it has none.
    pub(crate) fn take<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Tensor<D>> {
        self.sums.remove(param.id)
    }

    /// Whether a parameter has a gradient.
    pub(crate) fn has<const D: usize>(&self, param: &Param<Tensor<D>>) -> bool {
        self.sums.get::<D>(param.id).is_some()
    }

    /// Puts back what [`Gradients::take`] took.
    pub(crate) fn put<const D: usize>(&mut self, param: &Param<Tensor<D>>, gradient: Tensor<D>) {
        self.sums.register(param.id, gradient);
    }
}

struct Fill<'a> {
    gradients: &'a mut Gradients,
}

impl ModuleVisitor for Fill<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.gradients.wants(param) && !self.gradients.has(param) {
            self.gradients.put(param, param.val().zeros_like());
        }
    }
}
