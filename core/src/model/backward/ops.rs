//! The steps between products of matrices: in one go on the numbers of burn's CPU backend, composed of
//! burn's operations on any other device.

use boomerang_kernels::train as kernels;
use burn::module::Param;
use burn::tensor::{DType, Tensor, TensorData};

use super::super::linear::{Linear, linear as exact_linear};
use super::super::norm::Norm;
use super::super::numbers::{change, numbers, numbers_of};
use super::super::rope::RotaryTable;
use super::Gradients;
use crate::architecture::NormKind;
use crate::config::Activation;

/// `x + y`; the numbers of `x` are changed where nobody else has them.
pub(crate) fn add<const D: usize>(x: Tensor<D>, y: &Tensor<D>) -> Tensor<D> {
    let Some(other) = numbers(y) else { return x + y.clone() };
    change(x, |x| kernels::add(x, &other)).unwrap_or_else(|x| x + y.clone())
}

/// `a · b` of numbers rounded to `dtype`, in f32. Shapes: `[.., n, m]` and `[.., m, k]`
pub(crate) fn product<const D: usize>(a: Tensor<D>, b: Tensor<D>, dtype: DType) -> Tensor<D> {
    if dtype == DType::F32 {
        return a.matmul(b);
    }
    a.cast(dtype).matmul(b.cast(dtype)).cast(DType::F32)
}

/// `sum + xᵀ · y`. Shapes: `[n, m]`, `[rows, n]` and `[rows, m]`.
pub(super) fn add_product(sum: Tensor<2>, x: &Tensor<2>, y: &Tensor<2>, dtype: DType) -> Tensor<2> {
    let product = || product(x.clone().transpose(), y.clone(), dtype);
    if dtype != DType::F32 {
        return add(sum, &product());
    }
    let (Some(of_x), Some(of_y)) = (numbers(x), numbers(y)) else { return sum + product() };
    let (shape, mut is_added) = (sum.dims(), false);
    let sum = change(sum, |sum| {
        is_added = kernels::add_transposed_product(sum, &of_x, &of_y, shape);
    });
    match sum {
        Ok(sum) if is_added => sum,
        Ok(sum) | Err(sum) => add(sum, &product()),
    }
}

/// The linear map of rows. Shapes: `[rows, d_input]` -> `[rows, d_output]`
pub(super) fn linear(layer: &Linear, x: Tensor<2>, dtype: DType) -> Tensor<2> {
    if dtype == DType::F32 {
        return exact_linear(layer, x);
    }
    let y = product(x, layer.weight.val(), dtype);
    match &layer.bias {
        Some(bias) => y + bias.val().unsqueeze(),
        None => y,
    }
}

/// The gradient with respect to `x`. Shapes: `x` is `[rows, d_input]`, `gradient` `[rows, d_output]`.
pub(super) fn linear_backward(
    layer: &Linear,
    x: &Tensor<2>,
    gradient: &Tensor<2>,
    dtype: DType,
    gradients: &mut Gradients,
) -> Tensor<2> {
    gradients.add_product(&layer.weight, x, gradient, dtype);
    if let Some(bias) = &layer.bias {
        gradients.add(bias, || gradient.clone().sum_dim(0).squeeze_dim(0));
    }
    product(gradient.clone(), layer.weight.val().transpose(), dtype)
}

/// Shapes: `[rows, size]` in and out.
pub(super) fn norm(norm: &Norm, x: &Tensor<2>) -> Tensor<2> {
    fused_norm(norm, x).unwrap_or_else(|| norm.forward(x.clone()))
}

fn fused_norm(norm: &Norm, x: &Tensor<2>) -> Option<Tensor<2>> {
    let (input, scale) = (numbers(x)?, numbers(&norm.scale())?);
    let beta = numbers_of(norm.beta.as_ref().map(Param::val).as_ref())?;
    let mut y = vec![0.0; input.len()];
    kernels::norm(norm.shape(), &input, &scale, beta.as_deref(), &mut y);
    Some(like(x, y))
}

/// [`norm`] if there is one, else `x`.
pub(super) fn normalize(by: Option<&Norm>, x: &Tensor<2>) -> Tensor<2> {
    match by {
        Some(by) => norm(by, x),
        None => x.clone(),
    }
}

/// The gradient with respect to the `input` of [`normalize`], which is kept only for a norm.
pub(super) fn normalize_backward(
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

/// The gradient with respect to `x`. Shapes: all `[rows, size]`.
pub(super) fn norm_backward(
    norm: &Norm,
    x: &Tensor<2>,
    gradient: Tensor<2>,
    gradients: &mut Gradients,
) -> Tensor<2> {
    let [dx, dgamma, dbeta] = fused_norm_backward(norm, x, &gradient)
        .unwrap_or_else(|| composed_norm_backward(norm, x, gradient));
    gradients.add(&norm.gamma, || dgamma.squeeze_dim(0));
    if let Some(beta) = &norm.beta {
        gradients.add(beta, || dbeta.squeeze_dim(0));
    }
    dx
}

fn fused_norm_backward(norm: &Norm, x: &Tensor<2>, gradient: &Tensor<2>) -> Option<[Tensor<2>; 3]> {
    let (input, scale, given) = (numbers(x)?, numbers(&norm.scale())?, numbers(gradient)?);
    let mut dx = vec![0.0; input.len()];
    let sums = kernels::norm_backward(norm.shape(), &input, &scale, &given, &mut dx);
    let [dgamma, dbeta] = sums.map(|sum| {
        let shape = [1, sum.len()];
        Tensor::from_data(TensorData::new(sum, shape), &x.device())
    });
    Some([like(x, dx), dgamma, dbeta])
}

fn composed_norm_backward(norm: &Norm, x: &Tensor<2>, gradient: Tensor<2>) -> [Tensor<2>; 3] {
    let shape = norm.shape();
    let centered = match shape.centers {
        true => x.clone() - x.clone().mean_dim(1),
        false => x.clone(),
    };
    let inverse = (centered.clone().square().mean_dim(1) + shape.epsilon).sqrt().recip();
    let normalized = centered * inverse.clone();
    let dgamma = (gradient.clone() * normalized.clone()).sum_dim(0);
    let dbeta = gradient.clone().sum_dim(0);
    let scaled = gradient * norm.scale().unsqueeze();
    let along = (scaled.clone() * normalized.clone()).mean_dim(1);
    let mut dx = scaled.clone() - normalized * along;
    if shape.centers {
        dx = dx - scaled.mean_dim(1);
    }
    [dx * inverse, dgamma, dbeta]
}

/// `activation(gate) * up`, or `activation(gate)`.
pub(super) fn gated(activation: Activation, gate: &Tensor<2>, up: Option<&Tensor<2>>) -> Tensor<2> {
    fused_gated(activation, gate, up).unwrap_or_else(|| {
        let active = activation.apply(gate.clone());
        match up {
            Some(up) => active * up.clone(),
            None => active,
        }
    })
}

fn fused_gated(
    activation: Activation,
    gate: &Tensor<2>,
    up: Option<&Tensor<2>>,
) -> Option<Tensor<2>> {
    let (of_gate, of_up) = (numbers(gate)?, numbers_of(up)?);
    let mut y = vec![0.0; of_gate.len()];
    kernels::gated(activation.kernel(), &of_gate, of_up.as_deref(), &mut y);
    Some(like(gate, y))
}

/// The gradients with respect to gate and up.
pub(super) fn gated_backward(
    activation: Activation,
    gate: &Tensor<2>,
    up: Option<&Tensor<2>>,
    gradient: Tensor<2>,
) -> (Tensor<2>, Option<Tensor<2>>) {
    if let Some(found) = fused_gated_backward(activation, gate, up, &gradient) {
        return found;
    }
    let (value, slope) = activation.with_slope(gate.clone());
    match up {
        Some(up) => (gradient.clone() * up.clone() * slope, Some(gradient * value)),
        None => (gradient * slope, None),
    }
}

fn fused_gated_backward(
    activation: Activation,
    gate: &Tensor<2>,
    up: Option<&Tensor<2>>,
    gradient: &Tensor<2>,
) -> Option<(Tensor<2>, Option<Tensor<2>>)> {
    let of_gate = numbers(gate)?;
    let mut dgate = numbers(gradient)?.to_vec();
    let mut dup = numbers_of(up)?.map(|up| up.to_vec());
    kernels::gated_backward(activation.kernel(), &of_gate, dup.as_deref_mut(), &mut dgate);
    Some((like(gate, dgate), dup.map(|dup| like(gate, dup))))
}

/// The heads of rows, rotated, or rotated back with a `sign` of -1.
///
/// Shapes: `x` and the result are `[batch * seq, heads * d_head]`.
pub(super) fn rotate(
    rope: &RotaryTable,
    x: Tensor<2>,
    [batch, seq, d_head]: [usize; 3],
    sign: f32,
) -> Tensor<2> {
    let [n_rows, width] = x.dims();
    let [cos, sin] = rope.tables();
    let is_shared = cos.dims()[0] == 1;
    let fused = |x: Tensor<2>| {
        let (Some(of_cos), Some(of_sin)) = (numbers(cos), numbers(sin)) else { return Err(x) };
        let widths = [width, d_head, cos.dims()[3]];
        let position = |row: usize| if is_shared { row % seq } else { row };
        change(x, |x| kernels::rotate_rows(x, widths, [&*of_cos, &*of_sin], position, sign))
    };
    fused(x).unwrap_or_else(|x| {
        let heads = x.reshape([batch, seq, width / d_head, d_head]).swap_dims(1, 2);
        let turned = if sign < 0.0 { rope.rotate_back(heads) } else { rope.rotate(heads) };
        turned.swap_dims(1, 2).reshape([n_rows, width])
    })
}

/// A tensor of the same shape on the same device.
pub(super) fn like<const D: usize>(x: &Tensor<D>, values: Vec<f32>) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, x.dims()), &x.device())
}

impl Norm {
    /// What normalized numbers are multiplied by, `[size]`.
    fn scale(&self) -> Tensor<1> {
        match self.kind {
            NormKind::RmsAroundOne => self.gamma.val() + 1.0,
            NormKind::Rms | NormKind::Layer => self.gamma.val(),
        }
    }

    fn shape(&self) -> kernels::NormShape {
        kernels::NormShape { epsilon: self.epsilon as f32, centers: self.kind == NormKind::Layer }
    }
}
