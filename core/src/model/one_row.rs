//! The steps of a layer for a single position, on the numbers themselves: what decoding consists of.
//!
//! burn's backend for the CPU composes a norm or a rotation of many small tensors and reads a matrix
//! in one stream, half as fast as memory gives it. Each function here does the whole step in one, or
//! returns `None`: where the numbers are on another device, on the training graph, of another format
//! or of more than one position. The caller then goes on with burn.
//!
//! Only with the feature `flex`, for doors that compute on that backend; without it no tensor's
//! numbers are found.

use boomerang_kernels as kernels;
use burn::nn::Linear;
use burn::tensor::{Tensor, TensorData};

use crate::architecture::NormKind;

/// A linear map of a single row. Shapes: `[.., d_input]` -> `[.., d_output]`
pub(super) fn linear<const D: usize>(layer: &Linear, x: &Tensor<D>) -> Option<Tensor<D>> {
    if n_rows(x) != 1 {
        return None;
    }
    let weight = layer.weight.val();
    let [_, d_output] = weight.dims();
    let (row, weight) = (numbers(x)?, numbers(&weight)?);
    let mut y = vec![0.0; d_output];
    kernels::times_rows(row.in_order()?, weight.in_order()?, &mut y);
    if let Some(bias) = &layer.bias {
        let bias = numbers(&bias.val())?;
        for (y, bias) in y.iter_mut().zip(bias.in_order()?) {
            *y += bias;
        }
    }
    let mut shape = x.dims();
    shape[D - 1] = d_output;
    Some(Tensor::from_data(TensorData::new(y, shape), &x.device()))
}

/// A single row times the transpose of `weight`. Shapes: `[1, d]`, `[rows, d]` -> `[1, rows]`
pub(super) fn times_transposed(x: &Tensor<2>, weight: &Tensor<2>) -> Option<Tensor<2>> {
    if n_rows(x) != 1 {
        return None;
    }
    let [rows, _] = weight.dims();
    let (row, weight) = (numbers(x)?, numbers(weight)?);
    let mut y = vec![0.0; rows];
    kernels::times_columns(row.in_order()?, weight.in_order()?, &mut y);
    Some(Tensor::from_data(TensorData::new(y, [1, rows]), &x.device()))
}

/// A norm over the last dimension, of any number of rows. Shapes: `[.., size]` in and out.
pub(super) fn norm<const D: usize>(
    kind: NormKind,
    gamma: &Tensor<1>,
    beta: Option<&Tensor<1>>,
    epsilon: f64,
    x: &Tensor<D>,
) -> Option<Tensor<D>> {
    let (rows, gamma) = (numbers(x)?, numbers(gamma)?);
    let beta = match beta {
        Some(beta) => Some(numbers(beta)?),
        None => None,
    };
    let gamma = gamma.in_order()?;
    let mut y = rows.in_order()?.to_vec();
    for row in y.chunks_exact_mut(gamma.len()) {
        if kind == NormKind::Layer {
            kernels::center(row);
        }
        kernels::divide_by_root_mean_square(row, epsilon as f32);
        let around = if kind == NormKind::RmsAroundOne { 1.0 } else { 0.0 };
        for (value, gamma) in row.iter_mut().zip(gamma) {
            *value *= gamma + around;
        }
        if let Some(beta) = &beta {
            for (value, beta) in row.iter_mut().zip(beta.in_order()?) {
                *value += beta;
            }
        }
    }
    Some(Tensor::from_data(TensorData::new(y, x.dims()), &x.device()))
}

/// Heads of a single position, rotated.
///
/// Shapes: `x` and the result are `[1, heads, 1, d_head]`, `cos` and `sin` `[1, 1, 1, d_rotated]`.
pub(super) fn rotate(x: &Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>) -> Option<Tensor<4>> {
    let [batch, _, seq, d_head] = x.dims();
    if batch * seq != 1 {
        return None;
    }
    let (heads, cos, sin) = (numbers(x)?, numbers(cos)?, numbers(sin)?);
    let (cos, sin) = (cos.in_order()?, sin.in_order()?);
    let mut y = heads.in_order()?.to_vec();
    for head in y.chunks_exact_mut(d_head) {
        kernels::rotate(&mut head[..cos.len()], cos, sin);
    }
    Some(Tensor::from_data(TensorData::new(y, x.dims()), &x.device()))
}

/// What the heads of a single position take from all positions.
///
/// Shapes: `query` is `[1, heads, 1, d_head]`, `key` and `value` `[1, n_kv_heads, len, d_head]`; the
/// result is `[1, 1, heads * d_head]`.
pub(super) fn attend(
    query: &Tensor<4>,
    key: &Tensor<4>,
    value: &Tensor<4>,
    scale: f64,
    softcap: Option<f64>,
) -> Option<Tensor<3>> {
    let [batch, n_heads, seq, d_head] = query.dims();
    if batch * seq != 1 {
        return None;
    }
    let [_, n_kv_heads, len, _] = key.dims();
    let n_groups = n_heads / n_kv_heads;
    let (heads, key, value) = (numbers(query)?, numbers(key)?, numbers(value)?);
    let mut mixed = vec![0.0; n_heads * d_head];
    let mut weights = vec![0.0; len];
    let queries = heads.in_order()?.chunks_exact(d_head);
    for (head, (query, mixed)) in queries.zip(mixed.chunks_exact_mut(d_head)).enumerate() {
        let (key, value) = (key.block(head / n_groups)?, value.block(head / n_groups)?);
        for (weight, key) in weights.iter_mut().zip(key.chunks_exact(d_head)) {
            let score = scale as f32 * kernels::dot(query, key);
            *weight = match softcap {
                Some(cap) => cap as f32 * (score / cap as f32).tanh(),
                None => score,
            };
        }
        kernels::softmax(&mut weights);
        kernels::times_rows(&weights, value, mixed);
    }
    let shape = [1, 1, n_heads * d_head];
    Some(Tensor::from_data(TensorData::new(mixed, shape), &query.device()))
}

fn n_rows<const D: usize>(x: &Tensor<D>) -> usize {
    x.dims()[..D - 1].iter().product()
}

#[cfg(feature = "flex")]
use on_flex::numbers;

#[cfg(feature = "flex")]
mod on_flex {
    use burn::backend::{
        BackendTensor, BackendTypes, DispatchAutodiffContext, DispatchTensorKind, Flex,
    };
    use burn::tensor::{DType, Tensor};

    type FlexTensor = <Flex as BackendTypes>::FloatTensorPrimitive;

    /// The numbers of a tensor in this program's memory.
    pub(super) struct Numbers(FlexTensor);

    /// `None` for a tensor elsewhere, on the training graph, or of another format.
    pub(super) fn numbers<const D: usize>(tensor: &Tensor<D>) -> Option<Numbers> {
        let tensor = tensor.clone().into_dispatch();
        if tensor.autodiff != DispatchAutodiffContext::Disabled {
            return None;
        }
        #[allow(unreachable_patterns, reason = "there may be no other backend")]
        match tensor.kind {
            DispatchTensorKind::Flex(BackendTensor::Float(tensor)) => {
                (tensor.dtype() == DType::F32).then_some(Numbers(tensor))
            }
            _ => None,
        }
    }

    impl Numbers {
        /// All of them, the last dimension fastest; `None` when they lie otherwise.
        pub(super) fn in_order(&self) -> Option<&[f32]> {
            let (start, end) = self.0.layout().contiguous_offsets()?;
            self.0.storage::<f32>().get(start..end)
        }

        /// Those of one place in the second of four dimensions, the first having one place.
        pub(super) fn block(&self, place: usize) -> Option<&[f32]> {
            let layout = self.0.layout();
            let (shape, strides) = (layout.shape(), layout.strides());
            let (len, width) = (shape[2], shape[3]);
            if strides[3] != 1 || strides[2] != width as isize || strides[1] < 0 {
                return None;
            }
            let start = layout.start_offset() + place * strides[1] as usize;
            self.0.storage::<f32>().get(start..start + len * width)
        }
    }
}

#[cfg(not(feature = "flex"))]
use elsewhere::numbers;

#[cfg(not(feature = "flex"))]
mod elsewhere {
    use burn::tensor::Tensor;

    /// There are none.
    pub(super) enum Numbers {}

    pub(super) fn numbers<const D: usize>(_tensor: &Tensor<D>) -> Option<Numbers> {
        None
    }

    impl Numbers {
        pub(super) fn in_order(&self) -> Option<&[f32]> {
            match *self {}
        }

        pub(super) fn block(&self, _place: usize) -> Option<&[f32]> {
            match *self {}
        }
    }
}
