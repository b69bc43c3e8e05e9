//! Models and layers as safetensors bytes, under Hugging Face's names.

use std::collections::HashMap;

use burn::module::Module;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::read::transpose;
use super::{Checkpoint, CheckpointError, Names, Orientation};
use crate::architecture::Architecture;
use crate::model::parameters::for_each;
use crate::model::{DecoderLayer, LanguageModel};

/// The number format of written weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    F32,
    F16,
    Bf16,
}

impl Precision {
    pub fn n_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The format that keeps tensors of this dtype exact; f32 for anything else.
    pub fn of(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::Bf16,
            _ => Self::F32,
        }
    }

    /// The format of a checkpoint, for files of the same family.
    pub fn of_checkpoint(checkpoint: &Checkpoint<'_>) -> Self {
        checkpoint.main_dtype().map_or(Self::F32, Self::of)
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16 => {
                values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()
            }
            Self::Bf16 => {
                values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect()
            }
        }
    }
}

/// The weights of a model, as `model.safetensors` holds them.
///
/// # Errors
/// [`CheckpointError`] when a parameter has no name or the file cannot be laid out.
pub fn model_to_bytes(
    model: &LanguageModel,
    precision: Precision,
) -> Result<Vec<u8>, CheckpointError> {
    module_to_bytes(model, model.config().architecture, precision)
}

/// The weights of a single layer, named as inside a layer.
///
/// # Errors
/// As [`model_to_bytes`].
pub fn layer_to_bytes(
    layer: &DecoderLayer,
    architecture: Architecture,
    precision: Precision,
) -> Result<Vec<u8>, CheckpointError> {
    module_to_bytes(layer, architecture, precision)
}

fn module_to_bytes<M: Module>(
    module: &M,
    architecture: Architecture,
    precision: Precision,
) -> Result<Vec<u8>, CheckpointError> {
    let names = Names::of(architecture);
    let mut tensors = Vec::new();
    let mut unnamed = None;
    for_each(module, |parameter, tensor| {
        let Some((name, orientation)) = names.in_checkpoint(&parameter.path) else {
            unnamed.get_or_insert_with(|| parameter.path.clone());
            return;
        };
        let values: Vec<f32> = tensor.to_data().iter::<f32>().collect();
        let mut shape = parameter.shape.clone();
        let values = match (orientation, shape.as_slice()) {
            (Orientation::Transposed, &[rows, columns]) => {
                shape.reverse();
                transpose(&values, rows, columns)
            }
            _ => values,
        };
        tensors.push((name, shape, values));
    });
    match unnamed {
        Some(path) => Err(CheckpointError::Unnamed { path }),
        None => tensors_to_bytes(tensors, precision),
    }
}

/// Named tensors as a safetensors file.
///
/// # Errors
/// [`CheckpointError::Write`] when shape and values of a tensor disagree.
pub fn tensors_to_bytes(
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
    precision: Precision,
) -> Result<Vec<u8>, CheckpointError> {
    let encoded: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, shape, values)| (name, shape, precision.encode(&values)))
        .collect();
    let views = encoded
        .iter()
        .map(|(name, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(precision.dtype(), shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(CheckpointError::Write)?;
    // transformers refuses files without this entry.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata)).map_err(CheckpointError::Write)
}
