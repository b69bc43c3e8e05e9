//! Models and layers as safetensors bytes, under Hugging Face's names.

use std::collections::HashMap;

use burn::module::Module;
use safetensors::tensor::{Dtype, TensorView};

use super::eight_bits::{self, scales_name, scales_shape};
use super::read::transpose;
use super::{CheckpointError, Names, Precision, Share, Storage, StoredAs, TensorLocation};
use crate::config::ModelConfig;
use crate::model::parameters::for_each;
use crate::model::{DecoderLayer, LanguageModel};

/// The weights of a model as the bytes of a `model.safetensors`.
///
/// # Errors
/// [`CheckpointError`] if a parameter has no tensor name, a value is not finite or overflows the
/// format, or serialization fails.
pub fn model_to_bytes(
    model: &LanguageModel,
    stored_as: impl Into<StoredAs>,
) -> Result<Vec<u8>, CheckpointError> {
    module_to_bytes(model, model.config(), stored_as.into())
}

/// The weights of a single layer, with tensor names relative to the layer.
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
    // Fused tensors: the index in `tensors` by name.
    let mut shared = HashMap::<String, usize>::new();
    let mut unnamed = None;
    for_each(module, |parameter, tensor| {
        let location = names.find(&parameter.path);
        let stored = location.and_then(|location| {
            let shape = location.stored_shape(&parameter.shape)?;
            Some((location, shape))
        });
        let Some((TensorLocation { name, storage, .. }, stored_shape)) = stored else {
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
            let tensors = tensors.into_iter().map(|(stored_as, tensor)| encode(tensor, stored_as));
            // transformers rejects files without this entry.
            to_file(tensors, ("format", "pt"))
        }
    }
}

/// Copies a parameter's values into its share of a fused tensor.
fn fill_share(stored: &mut [f32], shape: &[usize], storage: Storage, values: &[f32]) {
    // Contiguous runs: whole rows of a transposed matrix, otherwise ranges of a row.
    let (n_rows, n_outputs, run) = match (storage.transposed, shape) {
        (true, &[outputs, inputs]) => (1, outputs, inputs),
        (false, &[inputs, outputs]) => (inputs, outputs, 1),
        _ => (1, stored.len(), 1),
    };
    let mut rest = values;
    for row in 0..n_rows {
        for outputs in storage.share.ranges(n_outputs) {
            let start = row * n_outputs;
            let target = (start + outputs.start) * run..(start + outputs.end) * run;
            let (own, after) = rest.split_at(target.len());
            stored[target].copy_from_slice(own);
            rest = after;
        }
    }
}

/// Named tensors as a safetensors file.
///
/// # Errors
/// [`CheckpointError::Write`] if shape and values of a tensor disagree;
/// [`CheckpointError::NotFinite`] or [`CheckpointError::TooLarge`] names a tensor with a value that
/// is not finite or overflows the format.
pub fn tensors_to_bytes(
    tensors: Vec<NamedTensor>,
    precision: Precision,
) -> Result<Vec<u8>, CheckpointError> {
    let tensors = tensors.into_iter().map(|tensor| encode(tensor, precision.into()));
    to_file(tensors, ("boomerang.version", env!("CARGO_PKG_VERSION")))
}

/// Name, shape and values.
type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// Name, type, shape and bytes.
type EncodedTensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// The format of one parameter in a file stored as `stored_as`.
fn of_parameter(stored_as: StoredAs, path: &str, stored_shape: &[usize]) -> StoredAs {
    let is_matrix = stored_shape.len() == 2 && path != "embedding.positions.weight";
    match stored_as {
        StoredAs::Q8_0 if !is_matrix => Precision::F32.into(),
        stored_as => stored_as,
    }
}

/// Encodes a tensor; an 8-bit one is followed by its scales.
fn encode(
    (name, shape, values): NamedTensor,
    stored_as: StoredAs,
) -> Result<Vec<EncodedTensor>, CheckpointError> {
    match stored_as {
        StoredAs::Floats(precision) => {
            let bytes = precision.encode(&name, &values)?;
            Ok(vec![(name, precision.dtype(), shape, bytes)])
        }
        StoredAs::Q8_0 => {
            let n_columns = shape.last().copied().unwrap_or(1);
            let (codes, scales) = eight_bits::encode(&name, &values, n_columns)?;
            let scales = (scales_name(&name), Precision::F16.dtype(), scales_shape(&shape), scales);
            Ok(vec![(name, Dtype::I8, shape, codes), scales])
        }
    }
}

/// `entry` is the only metadata: the order of several entries would not be deterministic.
fn to_file(
    tensors: impl Iterator<Item = Result<Vec<EncodedTensor>, CheckpointError>>,
    entry: (&str, &str),
) -> Result<Vec<u8>, CheckpointError> {
    let tensors: Vec<EncodedTensor> =
        tensors.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(CheckpointError::Write)?;
    let metadata = HashMap::from([(entry.0.to_owned(), entry.1.to_owned())]);
    safetensors::serialize(views, Some(metadata)).map_err(CheckpointError::Write)
}
