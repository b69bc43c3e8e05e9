//! Models and layers as safetensors bytes, under Hugging Face's names.

use std::collections::HashMap;
use std::io::Write;

use burn::module::Module;
use safetensors::SafeTensorError;
use safetensors::tensor::Dtype;

use super::eight_bits::{self, scales_name, scales_shape};
use super::output::{OutputTensor, tensors_in_memory, write_tensors};
use super::read::transpose;
use super::{CheckpointError, Names, Precision, Share, Storage, StoredAs, TensorLocation};
use crate::config::ModelConfig;
use crate::model::parameters::{Parameter, for_each};
use crate::model::{DecoderLayer, LanguageModel};

/// transformers rejects files without this entry.
pub(super) const FORMAT: Option<(&str, &str)> = Some(("format", "pt"));

/// The weights of a model as the bytes of a `model.safetensors`.
///
/// # Errors
/// [`CheckpointError`] if a parameter has no tensor name, a value is not finite or overflows the
/// format, or serialization fails.
pub fn model_to_bytes(
    model: &LanguageModel,
    stored_as: impl Into<StoredAs>,
) -> Result<Vec<u8>, CheckpointError> {
    let tensors = module_tensors(model, model.config(), stored_as.into())?;
    tensors_in_memory(tensors, FORMAT)
}

/// Writes the weights of a model as a `model.safetensors`, one tensor after another in memory.
///
/// # Errors
/// As [`model_to_bytes`]; [`CheckpointError::Output`] if `out` cannot be written.
pub fn write_model(
    model: &LanguageModel,
    stored_as: impl Into<StoredAs>,
    out: &mut dyn Write,
) -> Result<(), CheckpointError> {
    write_tensors(module_tensors(model, model.config(), stored_as.into())?, FORMAT, out)
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
    tensors_in_memory(module_tensors(layer, config, stored_as.into())?, FORMAT)
}

/// Calls its argument with the row-major values of a parameter.
pub(crate) type ReadValues<'m> =
    Box<dyn Fn(&mut dyn FnMut(&[f32])) -> Result<(), CheckpointError> + 'm>;

/// Writes parameters as a `model.safetensors`, and reads each of them when it is its turn.
///
/// # Errors
/// As [`write_model`], and whatever reading a parameter fails with.
pub(crate) fn write_parameters<'m>(
    parameters: impl Iterator<Item = (Parameter, ReadValues<'m>)>,
    config: &ModelConfig,
    stored_as: impl Into<StoredAs>,
    out: &mut dyn Write,
) -> Result<(), CheckpointError> {
    write_tensors(parameter_tensors(parameters, config, stored_as.into())?, FORMAT, out)
}

fn module_tensors<'m, M: Module>(
    module: &'m M,
    config: &ModelConfig,
    stored_as: StoredAs,
) -> Result<Vec<OutputTensor<'m>>, CheckpointError> {
    let mut parameters: Vec<(Parameter, ReadValues<'m>)> = Vec::new();
    for_each(module, |parameter, tensor| {
        let tensor = tensor.shared();
        let read: ReadValues<'m> = Box::new(move |act| {
            tensor.read(act);
            Ok(())
        });
        parameters.push((parameter.clone(), read));
    });
    parameter_tensors(parameters.into_iter(), config, stored_as)
}

fn parameter_tensors<'m>(
    parameters: impl Iterator<Item = (Parameter, ReadValues<'m>)>,
    config: &ModelConfig,
    stored_as: StoredAs,
) -> Result<Vec<OutputTensor<'m>>, CheckpointError> {
    let names = Names::of(config);
    let mut tensors: Vec<ModelTensor<'m>> = Vec::new();
    // Fused tensors: the index in `tensors` by name.
    let mut shared = HashMap::<String, usize>::new();
    for (parameter, read) in parameters {
        let location = names.find(&parameter.path);
        let stored = location.and_then(|location| {
            let shape = location.stored_shape(&parameter.shape)?;
            Some((location, shape))
        });
        let Some((TensorLocation { name, storage, .. }, shape)) = stored else {
            return Err(CheckpointError::Unnamed { path: parameter.path });
        };
        let stored_as = of_parameter(stored_as, &parameter.path, &shape);
        let part = Part { read, shape: parameter.shape, storage };
        let index = *shared.entry(name.clone()).or_insert_with(|| {
            tensors.push(ModelTensor { name, shape, stored_as, parts: Vec::new() });
            tensors.len() - 1
        });
        tensors[index].parts.push(part);
    }
    let outputs = tensors.into_iter().map(ModelTensor::outputs);
    Ok(outputs.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// A tensor of a model's file.
struct ModelTensor<'m> {
    name: String,
    shape: Vec<usize>,
    stored_as: StoredAs,
    parts: Vec<Part<'m>>,
}

/// A parameter, and its place in a tensor.
struct Part<'m> {
    read: ReadValues<'m>,
    shape: Vec<usize>,
    storage: Storage,
}

impl<'m> ModelTensor<'m> {
    /// As it is written; an 8-bit tensor is followed by its scales.
    fn outputs(self) -> Result<Vec<OutputTensor<'m>>, CheckpointError> {
        match self.stored_as {
            StoredAs::Floats(precision) => {
                let (name, dtype, shape) =
                    (self.name.clone(), precision.dtype(), self.shape.clone());
                let write: Box<dyn FnOnce(&mut dyn Write) -> _> = Box::new(move |out| {
                    self.with_values(|values| precision.write(&self.name, values, out))?
                });
                Ok(vec![OutputTensor { name, dtype, shape, write }])
            }
            StoredAs::Q8_0 => {
                let n_columns = self.shape.last().copied().unwrap_or(1);
                let name = &self.name;
                let [codes, scales] = self.with_values(|values| {
                    eight_bits::encode(name, values, n_columns).map(<[_; 2]>::from)
                })??;
                let scales =
                    (scales_name(name), Precision::F16.dtype(), scales_shape(&self.shape), scales);
                let codes = (self.name, Dtype::I8, self.shape, codes);
                Ok([codes, scales].map(ready).into())
            }
        }
    }

    /// Calls `act` with the stored values, in row-major order.
    ///
    /// # Errors
    /// What reading a part fails with.
    fn with_values<T>(&self, act: impl FnOnce(&[f32]) -> T) -> Result<T, CheckpointError> {
        if let [part] = &*self.parts
            && part.storage.share == Share::WHOLE
            && !part.is_transposed()
        {
            return part.read(act);
        }
        let mut stored = vec![0.0; self.shape.iter().product()];
        for part in &self.parts {
            let mut place = |values: &[f32]| match part.storage.share == Share::WHOLE {
                true => stored.copy_from_slice(values),
                false => fill_share(&mut stored, &self.shape, part.storage, values),
            };
            part.read(|values| match *part.shape.as_slice() {
                [n_inputs, n_outputs] if part.is_transposed() => {
                    place(&transpose(values, n_inputs, n_outputs));
                }
                _ => place(values),
            })?;
        }
        Ok(act(&stored))
    }
}

impl Part<'_> {
    fn read<T>(&self, act: impl FnOnce(&[f32]) -> T) -> Result<T, CheckpointError> {
        let (mut act, mut outcome) = (Some(act), None);
        (self.read)(&mut |values| outcome = act.take().map(|act| act(values)))?;
        Ok(outcome.expect("a parameter is read once"))
    }

    fn is_transposed(&self) -> bool {
        self.storage.transposed && self.shape.len() == 2
    }
}

/// A tensor whose bytes are there.
pub(super) fn ready<'a>(
    (name, dtype, shape, bytes): (String, Dtype, Vec<usize>, Vec<u8>),
) -> OutputTensor<'a> {
    let write: Box<dyn FnOnce(&mut dyn Write) -> _> =
        Box::new(move |out| out.write_all(&bytes).map_err(CheckpointError::Output));
    OutputTensor { name, dtype, shape, write }
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
    let tensors = tensors.into_iter().map(|(name, shape, values)| {
        if shape.iter().product::<usize>() != values.len() {
            return Err(CheckpointError::Write(SafeTensorError::TensorInvalidInfo));
        }
        let of_error = name.clone();
        let write: Box<dyn FnOnce(&mut dyn Write) -> _> =
            Box::new(move |out| precision.write(&of_error, &values, out));
        Ok(OutputTensor { name, dtype: precision.dtype(), shape, write })
    });
    let entry = ("boomerang.version", env!("CARGO_PKG_VERSION"));
    tensors_in_memory(tensors.collect::<Result<_, _>>()?, Some(entry))
}

/// Name, shape and values.
type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// The format of one parameter in a file stored as `stored_as`.
fn of_parameter(stored_as: StoredAs, path: &str, stored_shape: &[usize]) -> StoredAs {
    let is_matrix = stored_shape.len() == 2 && path != "embedding.positions.weight";
    match stored_as {
        StoredAs::Q8_0 if !is_matrix => Precision::F32.into(),
        stored_as => stored_as,
    }
}
