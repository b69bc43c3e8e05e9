//! Models and layers as safetensors bytes, under Hugging Face's names.

use std::collections::HashMap;
use std::fmt;

use burn::module::Module;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::dtype::to_f32;
use super::eight_bits::{self, scales_name, scales_shape};
use super::read::transpose;
use super::{Checkpoint, CheckpointError, Names, Place, Share, Storage};
use crate::config::ModelConfig;
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
    /// As in `torch_dtype`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

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

    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    /// Stored values in this format; `bytes` holds whole values.
    ///
    /// # Errors
    /// [`CheckpointError::Dtype`] for anything but floats.
    pub fn convert(self, from: Dtype, bytes: &[u8]) -> Result<Vec<u8>, CheckpointError> {
        Ok(self.encode(&to_f32("", from, bytes)?))
    }

    /// The values as stored.
    pub(crate) fn encode(self, values: &[f32]) -> Vec<u8> {
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

/// How the weights of a model are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredAs {
    /// Matrices in 8 bits with a scale for every 32 values, as in GGUF; vectors and learned
    /// positions in f32.
    #[serde(rename = "q8_0")]
    Q8_0,
    #[serde(untagged)]
    Floats(Precision),
}

impl From<Precision> for StoredAs {
    fn from(precision: Precision) -> Self {
        Self::Floats(precision)
    }
}

/// As on the command line and in manifests.
impl fmt::Display for StoredAs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Q8_0 => "q8_0",
            Self::Floats(Precision::F32) => "f32",
            Self::Floats(Precision::F16) => "f16",
            Self::Floats(Precision::Bf16) => "bf16",
        })
    }
}

/// The weights of a model, as `model.safetensors` holds them.
///
/// # Errors
/// [`CheckpointError`] when a parameter has no name or the file cannot be laid out.
pub fn model_to_bytes(
    model: &LanguageModel,
    stored_as: impl Into<StoredAs>,
) -> Result<Vec<u8>, CheckpointError> {
    module_to_bytes(model, model.config(), stored_as.into())
}

/// The weights of a single layer, named as inside a layer.
///
/// # Errors
/// As [`model_to_bytes`].
pub fn layer_to_bytes(
    layer: &DecoderLayer,
    config: &ModelConfig,
    stored_as: impl Into<StoredAs>,
) -> Result<Vec<u8>, CheckpointError> {
    module_to_bytes(layer, config, stored_as.into())
}

fn module_to_bytes<M: Module>(
    module: &M,
    config: &ModelConfig,
    stored_as: StoredAs,
) -> Result<Vec<u8>, CheckpointError> {
    let names = Names::of(config);
    let mut tensors = Vec::new();
    // Tensors that several parameters share, by name: its place among the tensors.
    let mut shared = HashMap::<String, usize>::new();
    let mut unnamed = None;
    for_each(module, |parameter, tensor| {
        let place = names.find(&parameter.path);
        let stored = place.and_then(|place| {
            let shape = place.stored_shape(&parameter.shape)?;
            Some((place, shape))
        });
        let Some((Place { name, storage, .. }, stored_shape)) = stored else {
            unnamed.get_or_insert_with(|| parameter.path.clone());
            return;
        };
        let values: Vec<f32> = tensor.to_data().iter::<f32>().collect();
        let values = match (storage.transposed, parameter.shape.as_slice()) {
            (true, &[n_inputs, n_outputs]) => transpose(&values, n_inputs, n_outputs),
            _ => values,
        };
        let stored_as = of_parameter(stored_as, &parameter.path, &stored_shape);
        if storage.share == Share::WHOLE {
            tensors.push((stored_as, (name, stored_shape, values)));
            return;
        }
        let index = *shared.entry(name.clone()).or_insert_with(|| {
            let empty = vec![0.0; stored_shape.iter().product()];
            tensors.push((stored_as, (name, stored_shape.clone(), empty)));
            tensors.len() - 1
        });
        fill_share(&mut tensors[index].1.2, &stored_shape, storage, &values);
    });
    match unnamed {
        Some(path) => Err(CheckpointError::Unnamed { path }),
        None => {
            let tensors = tensors.into_iter();
            to_file(tensors.flat_map(|(stored_as, tensor)| encode(tensor, stored_as)), None)
        }
    }
}

/// Puts a parameter's values where they belong in the tensor that it shares.
fn fill_share(stored: &mut [f32], shape: &[usize], storage: Storage, values: &[f32]) {
    // Runs of outputs lie together: whole rows of a transposed matrix, pieces of a row otherwise.
    let (n_rows, n_outputs, run) = match (storage.transposed, shape) {
        (true, &[outputs, inputs]) => (1, outputs, inputs),
        (false, &[inputs, outputs]) => (inputs, outputs, 1),
        _ => (1, stored.len(), 1),
    };
    let mut rest = values;
    for row in 0..n_rows {
        for outputs in storage.share.ranges(n_outputs) {
            let start = row * n_outputs;
            let place = (start + outputs.start) * run..(start + outputs.end) * run;
            let (own, after) = rest.split_at(place.len());
            stored[place].copy_from_slice(own);
            rest = after;
        }
    }
}

/// Named tensors as a safetensors file.
///
/// # Errors
/// [`CheckpointError::Write`] when shape and values of a tensor disagree.
pub fn tensors_to_bytes(
    tensors: Vec<NamedTensor>,
    precision: Precision,
) -> Result<Vec<u8>, CheckpointError> {
    let tensors = tensors.into_iter().flat_map(|tensor| encode(tensor, precision.into()));
    to_file(tensors, Some(("boomerang.version", env!("CARGO_PKG_VERSION"))))
}

/// Name, shape and values.
type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// Name, type, shape and bytes.
type EncodedTensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// How a parameter is stored, in a file that is stored as `stored_as`.
fn of_parameter(stored_as: StoredAs, path: &str, stored_shape: &[usize]) -> StoredAs {
    let is_matrix = stored_shape.len() == 2 && path != "embedding.positions.weight";
    match stored_as {
        StoredAs::Q8_0 if !is_matrix => Precision::F32.into(),
        stored_as => stored_as,
    }
}

/// A tensor as it is stored, in 8 bits with its scales.
fn encode((name, shape, values): NamedTensor, stored_as: StoredAs) -> Vec<EncodedTensor> {
    let precision = match stored_as {
        StoredAs::Floats(precision) => precision,
        StoredAs::Q8_0 => {
            let n_columns = shape.last().copied().unwrap_or(1);
            if let Some((codes, scales)) = eight_bits::encode(&values, n_columns) {
                let scales =
                    (scales_name(&name), Precision::F16.dtype(), scales_shape(&shape), scales);
                return vec![(name, Dtype::I8, shape, codes), scales];
            }
            // What is no number stays what it is.
            Precision::F32
        }
    };
    vec![(name, precision.dtype(), shape, precision.encode(&values))]
}

/// `mark` is an entry of the file's metadata, for a file that has to say by itself who wrote it.
fn to_file(
    tensors: impl Iterator<Item = EncodedTensor>,
    mark: Option<(&str, &str)>,
) -> Result<Vec<u8>, CheckpointError> {
    let tensors: Vec<EncodedTensor> = tensors.collect();
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(CheckpointError::Write)?;
    // transformers refuses files without this entry.
    let entries = [("format", "pt")].into_iter().chain(mark);
    let metadata = entries.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    safetensors::serialize(views, Some(metadata)).map_err(CheckpointError::Write)
}
