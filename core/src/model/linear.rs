//! Linear maps, the same for tensors of any shape and for the numbers of one position.

use boomerang_kernels as kernels;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::decode::read;

/// Shapes: `[.., d_input]` -> `[.., d_output]`
pub(super) fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    layer.forward(x)
}

/// As [`linear`], for one position. Lengths: `d_input` -> `d_output`
pub(super) fn linear_of_one(layer: &Linear, x: &[f32]) -> Vec<f32> {
    let weight = layer.weight.val();
    let [_, d_output] = weight.dims();
    let mut y = vec![0.0; d_output];
    read(&weight, |weight| kernels::times_rows(x, weight, &mut y));
    if let Some(bias) = &layer.bias {
        read(&bias.val(), |bias| add(&mut y, bias));
    }
    y
}

/// Adds to each number the one at the same index.
pub(super) fn add(x: &mut [f32], other: &[f32]) {
    for (x, other) in x.iter_mut().zip(other) {
        *x += other;
    }
}
