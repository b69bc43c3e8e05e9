//! Matrices that stay in 16 or 8 bits, as their files have them.
//!
//! Decoding reads every weight once a token, so that its speed is that of reading memory: half the
//! bytes, twice the tokens. A packed matrix stands beside a parameter that has no values yet. Products
//! read it for as long as this is so; whoever asks the parameter for its values (training, another
//! device, a file that is written) widens them, and from then on they are what counts. So gradients and
//! GPUs never see packed numbers.

use std::fmt;
use std::sync::Arc;

use boomerang_kernels::{PackedFormat, PackedMatrix};
use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::linear::Linear;
use super::parameters::Parameter;
use super::{DecoderLayer, LanguageModel};

/// In which format the matrices of a model are kept in memory; all other weights are in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightFormat {
    #[default]
    F32,
    F16,
    Bf16,
    Q8_0,
    /// f16, bf16 and q8_0 as stored in the file, f32 for anything else.
    Stored,
}

impl WeightFormat {
    /// The format of a matrix that its file has in `stored`; `None` for f32.
    pub(crate) fn of(self, stored: Option<PackedFormat>) -> Option<PackedFormat> {
        match self {
            Self::F32 => None,
            Self::F16 => Some(PackedFormat::F16),
            Self::Bf16 => Some(PackedFormat::Bf16),
            Self::Q8_0 => Some(PackedFormat::Q8_0),
            Self::Stored => stored,
        }
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Stored => "stored",
        })
    }
}

/// How a parameter's matrix is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packable {
    /// A row for each output, where the parameter has a row for each input.
    Linear,
    /// As the parameter: a row for each token.
    Table,
}

impl Packable {
    /// `None` for what is always in f32: vectors, learned positions, a masked model's transform.
    pub(crate) fn find(parameter: &Parameter) -> Option<Self> {
        const LINEAR: [&str; 7] = [
            "attention.query.weight",
            "attention.key.weight",
            "attention.value.weight",
            "attention.output.weight",
            "mlp.gate.weight",
            "mlp.up.weight",
            "mlp.down.weight",
        ];
        let path = parameter.path.as_str();
        if matches!(path, "embedding.tokens.weight" | "head.weight") {
            return Some(Self::Table);
        }
        LINEAR.iter().any(|end| path.ends_with(end)).then_some(Self::Linear)
    }

    /// Rows and columns of the packed matrix.
    pub(crate) fn shape(self, parameter: &Parameter) -> [usize; 2] {
        let [first, second] = [parameter.shape[0], parameter.shape[1]];
        match self {
            Self::Linear => [second, first],
            Self::Table => [first, second],
        }
    }
}

/// The packed form of a parameter, where it has one; cloning copies no weights.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed(Option<Arc<PackedMatrix>>);

impl Packed {
    pub(super) fn new(matrix: Arc<PackedMatrix>) -> Self {
        Self(Some(matrix))
    }

    /// `None` once the parameter beside it has values.
    pub(super) fn of(&self, weight: &Param<Tensor<2>>) -> Option<&PackedMatrix> {
        self.0.as_deref().filter(|_| !weight.is_initialized())
    }
}

/// A parameter whose values are those of a packed matrix, widened when they are first asked for.
pub(super) fn lazy<const D: usize>(
    id: ParamId,
    shape: &[usize],
    matrix: Arc<PackedMatrix>,
    packable: Packable,
    device: &Device,
) -> Param<Tensor<D>> {
    let dims = shape.to_vec();
    let init = move |device: &Device, _: bool| {
        Tensor::from_data(TensorData::new(widened(&matrix, packable), dims), device)
    };
    Param::uninitialized(id, init, device.clone(), false, shape.to_vec().into())
}

/// The values in the order of the parameter.
pub(super) fn widened(matrix: &PackedMatrix, packable: Packable) -> Vec<f32> {
    let [n_rows, n_columns] = [matrix.n_rows(), matrix.n_columns()];
    let mut values = vec![0.0; n_rows * n_columns];
    let mut row = vec![0.0; n_columns];
    for index in 0..n_rows {
        match packable {
            Packable::Table => {
                matrix.widen_row(index, &mut values[index * n_columns..(index + 1) * n_columns]);
            }
            Packable::Linear => {
                matrix.widen_row(index, &mut row);
                for (column, value) in row.iter().enumerate() {
                    values[column * n_rows + index] = *value;
                }
            }
        }
    }
    values
}

/// What a source has for a parameter.
#[derive(Debug)]
pub enum Values {
    Wide(TensorData),
    /// A row for each output of a linear map, or for each token; only for parameters in this program's
    /// memory.
    Packed(PackedMatrix),
}

impl From<TensorData> for Values {
    fn from(data: TensorData) -> Self {
        Self::Wide(data)
    }
}

/// Modules with parameters that may be packed.
pub trait Packs {
    /// Where the packed form of each goes, by the parameter's path.
    fn packed_mut(&mut self) -> Vec<(String, PackedSlot<'_>)>;
}

/// Where the packed form of a parameter goes.
pub struct PackedSlot<'a>(pub(super) &'a mut Packed);

impl PackedSlot<'_> {
    pub(super) fn set(self, matrix: Arc<PackedMatrix>) {
        *self.0 = Packed::new(matrix);
    }

    /// `None` for a parameter that is in f32.
    pub(super) fn n_bytes(&self) -> Option<u64> {
        self.0.0.as_ref().map(|matrix| matrix.n_bytes() as u64)
    }
}

impl Packs for DecoderLayer {
    fn packed_mut(&mut self) -> Vec<(String, PackedSlot<'_>)> {
        let (attention, mlp) = (&mut self.attention, &mut self.mlp);
        let linears = [
            ("attention.query", Some(&mut attention.query)),
            ("attention.key", Some(&mut attention.key)),
            ("attention.value", Some(&mut attention.value)),
            ("attention.output", Some(&mut attention.output)),
            ("mlp.gate", mlp.gate.as_mut()),
            ("mlp.up", Some(&mut mlp.up)),
            ("mlp.down", Some(&mut mlp.down)),
        ];
        linears.into_iter().filter_map(slot).collect()
    }
}

fn slot<'a>((path, linear): (&str, Option<&'a mut Linear>)) -> Option<(String, PackedSlot<'a>)> {
    linear.map(|linear| (format!("{path}.weight"), PackedSlot(&mut linear.packed)))
}

impl Packs for LanguageModel {
    fn packed_mut(&mut self) -> Vec<(String, PackedSlot<'_>)> {
        let mut all = Vec::new();
        let tables =
            [("embedding.tokens", Some(&mut self.embedding.tokens)), ("head", self.head.as_mut())];
        for (path, table) in tables {
            all.extend(table.map(|it| (format!("{path}.weight"), PackedSlot(&mut it.packed))));
        }
        for (number, layer) in self.layers.iter_mut().enumerate() {
            let layer = layer.packed_mut().into_iter();
            all.extend(layer.map(|(path, slot)| (format!("layers.{number}.{path}"), slot)));
        }
        all
    }
}
