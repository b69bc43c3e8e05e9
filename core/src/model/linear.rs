//! Matrices of weights and their products, the same for tensors of any shape and for the numbers of one
//! position.

use boomerang_kernels as kernels;
use boomerang_kernels::PackedMatrix;
use burn::module::{Module, Param};
use burn::nn::{EmbeddingConfig, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::decode::read;
use super::numbers::numbers;
use super::packed::Packed;

/// More positions than this are multiplied with weights in f32 as any matrices, a few as they are in
/// decoding.
const FEW_IN_F32: usize = 8;

/// A linear map.
#[derive(Module, Debug)]
pub(super) struct Linear {
    /// `[d_input, d_output]`
    pub(super) weight: Param<Tensor<2>>,
    pub(super) bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    pub(super) packed: Packed,
}

impl Linear {
    /// Lazy: no weight exists before it is read or filled.
    pub(super) fn lazy(d_input: usize, d_output: usize, bias: bool, device: &Device) -> Self {
        let linear = LinearConfig::new(d_input, d_output).with_bias(bias).init(device);
        Self { weight: linear.weight, bias: linear.bias, packed: Packed::default() }
    }
}

/// Shapes: `[.., d_input]` -> `[.., d_output]`
pub(super) fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    let bias = layer.bias.as_ref().map(Param::val);
    let product = match layer.packed.of(&layer.weight) {
        Some(matrix) => packed_product(matrix, &x),
        None => few_products(&x, &layer.weight, |[_, d_output]| d_output, kernels::few_times_rows),
    };
    match product {
        Some(y) => match bias {
            Some(bias) => y + bias.unsqueeze(),
            None => y,
        },
        None => burn::tensor::module::linear(x, layer.weight.val(), bias),
    }
}

/// As [`linear`], for one position. Lengths: `d_input` -> `d_output`
pub(super) fn linear_of_one(layer: &Linear, x: &[f32]) -> Vec<f32> {
    let mut y;
    match layer.packed.of(&layer.weight) {
        Some(matrix) => {
            y = vec![0.0; matrix.n_rows()];
            matrix.times(x, &mut y);
        }
        None => {
            let weight = layer.weight.val();
            y = vec![0.0; weight.dims()[1]];
            read(&weight, |weight| kernels::times_rows(x, weight, &mut y));
        }
    }
    if let Some(bias) = &layer.bias {
        read(&bias.val(), |bias| add(&mut y, bias));
    }
    y
}

/// A row for each token: the embedding, and the head of the same shape.
#[derive(Module, Debug)]
pub(super) struct Table {
    /// `[vocab, d_model]`
    pub(super) weight: Param<Tensor<2>>,
    #[module(skip)]
    pub(super) packed: Packed,
}

impl Table {
    /// Lazy: no weight exists before it is read or filled.
    pub(super) fn lazy(vocab: usize, d_model: usize, device: &Device) -> Self {
        let weight = EmbeddingConfig::new(vocab, d_model).init(device).weight;
        Self { weight, packed: Packed::default() }
    }

    /// Without asking for its values.
    pub(super) fn device(&self) -> Device {
        self.weight.lazy_device()
    }

    /// The rows of some tokens. Shapes: `[batch, seq]` -> `[batch, seq, d_model]`
    #[allow(clippy::disallowed_methods, reason = "a packed table is in this program's memory")]
    pub(super) fn rows(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let Some(matrix) = self.packed.of(&self.weight) else {
            return burn::tensor::module::embedding(self.weight.val(), tokens);
        };
        let [batch, seq] = tokens.dims();
        let (width, device) = (matrix.n_columns(), tokens.device());
        let mut values = vec![0.0; batch * seq * width];
        let tokens = tokens.into_data();
        for (token, row) in tokens.iter::<i64>().zip(values.chunks_exact_mut(width)) {
            matrix.widen_row(token as usize, row);
        }
        Tensor::from_data(TensorData::new(values, [batch, seq, width]), &device)
    }

    /// The row of a token.
    pub(super) fn row(&self, token: usize) -> Vec<f32> {
        if let Some(matrix) = self.packed.of(&self.weight) {
            let mut row = vec![0.0; matrix.n_columns()];
            matrix.widen_row(token, &mut row);
            return row;
        }
        let weight = self.weight.val();
        let width = weight.dims()[1];
        let row = token * width..(token + 1) * width;
        read(&weight, |weight: &[f32]| -> Vec<f32> { weight[row].to_vec() })
    }

    /// The products with all rows. Shapes: `[rows, d_model]` -> `[rows, vocab]`
    pub(super) fn products(&self, states: Tensor<2>) -> Tensor<2> {
        let found = match self.packed.of(&self.weight) {
            Some(matrix) => packed_product(matrix, &states),
            None => {
                few_products(&states, &self.weight, |[vocab, _]| vocab, kernels::few_times_columns)
            }
        };
        found.unwrap_or_else(|| states.matmul(self.weight.val().transpose()))
    }

    /// As [`Table::products`], for one position. Lengths: `d_model` -> `vocab`
    pub(super) fn products_of_one(&self, x: &[f32]) -> Vec<f32> {
        if let Some(matrix) = self.packed.of(&self.weight) {
            let mut y = vec![0.0; matrix.n_rows()];
            matrix.times(x, &mut y);
            return y;
        }
        let weight = self.weight.val();
        let mut y = vec![0.0; weight.dims()[0]];
        read(&weight, |weight| kernels::times_columns(x, weight, &mut y));
        y
    }
}

/// The product with a packed matrix; `None` where numbers are not found.
///
/// Shapes: `[.., d_input]` -> `[.., d_output]`
fn packed_product<const D: usize>(matrix: &PackedMatrix, x: &Tensor<D>) -> Option<Tensor<D>> {
    product(x, matrix.n_rows(), |x, y| matrix.times_many(x, y))
}

/// The product of a few positions with weights in f32, such as the tokens of a draft; `None` for more of
/// them, and where numbers are not found.
///
/// Shapes: `[.., d_input]` -> `[.., d_output]`
fn few_products<const D: usize>(
    x: &Tensor<D>,
    weight: &Param<Tensor<2>>,
    d_output: impl Fn([usize; 2]) -> usize,
    multiply: impl Fn(usize, &[f32], &[f32], &mut [f32]),
) -> Option<Tensor<D>> {
    let n_vectors = x.dims()[..D - 1].iter().product();
    if n_vectors > FEW_IN_F32 {
        return None;
    }
    let weight = weight.val();
    let of_weight = numbers(&weight)?;
    product(x, d_output(weight.dims()), |x, y| {
        kernels::together(|| multiply(n_vectors, x, &of_weight, y));
    })
}

/// What `multiply` writes for the numbers of `x`; `None` where they are not found, such as on the training
/// graph.
///
/// Shapes: `[.., d_input]` -> `[.., d_output]`
fn product<const D: usize>(
    x: &Tensor<D>,
    d_output: usize,
    multiply: impl FnOnce(&[f32], &mut [f32]),
) -> Option<Tensor<D>> {
    let of_x = numbers(x)?;
    let mut shape = x.dims();
    shape[D - 1] = d_output;
    let mut y = vec![0.0; shape.iter().product()];
    multiply(&of_x, &mut y);
    Some(Tensor::from_data(TensorData::new(y, shape), &x.device()))
}

/// Adds to each number the one at the same index.
pub(super) fn add(x: &mut [f32], other: &[f32]) {
    for (x, other) in x.iter_mut().zip(other) {
        *x += other;
    }
}
