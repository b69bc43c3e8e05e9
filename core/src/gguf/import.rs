//! A GGUF file as a model: its config from the metadata, its weights from the tensors, as the writer
//! ([`Conversion`](super::Conversion)) has them, backwards.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use boomerang_kernels::{PackedFormat, PackedMatrix};
use burn::tensor::{Device, TensorData};

use super::rows::{ENDS, Form, Row, Traits};
use super::{Gguf, GgufError, GgufTensor, GgufType, dequantize};
use crate::architecture::NormKind;
use crate::checkpoint::{copy, pack};
use crate::config::ModelConfig;
use crate::model::parameters::Parameter;
use crate::model::{LanguageModel, Packable, Values, WeightFormat};

/// The model in a file, its weights in f32 to the bit as they are stored.
///
/// # Errors
/// [`GgufError`] names what of the metadata or of the tensors is missing or not understood.
pub fn import(file: &Gguf<'_>, device: &Device) -> Result<LanguageModel, GgufError> {
    import_as(WeightFormat::F32, file, device, |_| {})
}

/// As [`import`], with its matrices in memory in this format where the device is the CPU, packed one
/// after another. `release` is given stored bytes that have been read.
///
/// # Errors
/// As [`import`], and for a value that the format does not hold.
pub fn import_as(
    format: WeightFormat,
    file: &Gguf<'_>,
    device: &Device,
    mut release: impl FnMut(&[u8]),
) -> Result<LanguageModel, GgufError> {
    let config = config_of(file)?;
    let import = Import::of(file, &config)?;
    let model = LanguageModel::build(&config, device, |parameter| {
        match import.packed(format, parameter, &mut release)? {
            Some(matrix) => Ok::<_, GgufError>(Values::Packed(matrix)),
            None => {
                let values = import.parameter(parameter)?;
                release(import.stored(parameter)?);
                Ok(Values::Wide(values))
            }
        }
    })?;
    import.refuse_others()?;
    Ok(model)
}

/// The config of the model in a file.
///
/// # Errors
/// As [`import`], for what the metadata say.
pub fn config_of(file: &Gguf<'_>) -> Result<ModelConfig, GgufError> {
    super::settings::config_of(file, super::metadata::traits_of(file)?)
}

/// Finds the parameters of a model in a file.
pub(super) struct Import<'a> {
    file: &'a Gguf<'a>,
    traits: &'static Traits,
    config: &'a ModelConfig,
    used: RefCell<BTreeSet<String>>,
}

/// Where a parameter is: a tensor, and the part of its outputs.
struct Place<'a> {
    tensor: &'a GgufTensor<'a>,
    first: usize,
    len: usize,
    form: Form,
}

impl<'a> Import<'a> {
    pub(super) fn of(file: &'a Gguf<'a>, config: &'a ModelConfig) -> Result<Self, GgufError> {
        let traits = super::metadata::traits_of(file)?;
        Ok(Self { file, traits, config, used: RefCell::default() })
    }

    /// All parameters, none of which has been read.
    ///
    /// # Errors
    /// Names the tensor that is missing, has other dimensions, is not known, or of a type that is not read.
    pub(super) fn parameters(&self) -> Result<Vec<Parameter>, GgufError> {
        let mut parameters = Vec::new();
        LanguageModel::for_each_parameter(self.config, |parameter| {
            parameters.push(parameter.clone());
        });
        for parameter in &parameters {
            // No rows: only the type is checked.
            dequantize(self.place(parameter)?.tensor, &[])?;
        }
        self.refuse_others()?;
        Ok(parameters)
    }

    /// Stored bytes of the tensor that holds a parameter.
    pub(super) fn stored(&self, parameter: &Parameter) -> Result<&[u8], GgufError> {
        Ok(self.place(parameter)?.tensor.data)
    }

    pub(super) fn parameter(&self, parameter: &Parameter) -> Result<TensorData, GgufError> {
        let Place { tensor, first, len, form } = self.place(parameter)?;
        let n_inputs = if form == Form::Vector { 1 } else { tensor.dims[0] };
        let mut values = match form {
            // Its blocks may be larger than a part.
            Form::Vector => {
                let all = dequantize(tensor, tensor.data)?;
                all.get(first..first + len).unwrap_or_default().to_vec()
            }
            Form::Matrix | Form::Table => {
                let n_outputs = tensor.n_values() / n_inputs.max(1);
                let row = tensor.data.len() / n_outputs.max(1);
                let rows = tensor.data.get(first * row..(first + len) * row);
                dequantize(tensor, rows.unwrap_or_default())?
            }
        };
        let expected: usize = parameter.shape.iter().product();
        if values.len() != expected {
            return Err(GgufError::Dimensions {
                name: tensor.name.to_string(),
                found: vec![values.len()],
                expected: vec![expected],
            });
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(GgufError::NotFiniteValue { name: tensor.name.to_string(), index });
        }
        if self.config.traits().norm.kind == NormKind::RmsAroundOne
            && parameter.path.ends_with(".gamma")
        {
            values.iter_mut().for_each(|value| *value -= 1.0);
        }
        let part = without_layer(&parameter.path);
        if let Some(n_heads) = super::convert::n_paired_heads(self.traits, self.config, part) {
            values = split_pairs(&values, n_heads, n_inputs);
        }
        if form == Form::Matrix {
            values = transposed(&values, n_inputs);
        }
        Ok(TensorData::new(values, parameter.shape.clone()))
    }

    /// The parameter in this format; `None` for what is in f32.
    fn packed(
        &self,
        format: WeightFormat,
        parameter: &Parameter,
        release: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<PackedMatrix>, GgufError> {
        let Some(packable) = Packable::find(parameter) else { return Ok(None) };
        let Place { tensor, first, len, .. } = self.place(parameter)?;
        let stored = match tensor.kind {
            GgufType::F16 => Some(PackedFormat::F16),
            GgufType::BF16 => Some(PackedFormat::Bf16),
            GgufType::Q8_0 => Some(PackedFormat::Q8_0),
            _ => None,
        };
        let Some(format) = format.of(stored) else { return Ok(None) };
        let [n_rows, n_columns] = packable.shape(parameter);
        let part = without_layer(&parameter.path);
        let n_heads = super::convert::n_paired_heads(self.traits, self.config, part);
        let row_bytes = tensor.data.len() / (tensor.n_values() / n_columns.max(1)).max(1);
        let row_of = |index: usize| {
            first + n_heads.map_or(index, |n_heads| paired_row(index, len / n_heads.max(1)))
        };
        let bytes_of = |row: usize| {
            tensor.data.get(row * row_bytes..(row + 1) * row_bytes).unwrap_or_default()
        };
        let mut release = |rows: Range<usize>| {
            // From the start: the system reads pages around the one that is asked for again.
            let read = rows.map(row_of).max().map_or(0, |last| (last + 1) * row_bytes);
            release(&tensor.data[first * row_bytes..read.max(first * row_bytes)]);
        };
        let shape = [n_rows, n_columns];
        let matrix = if stored == Some(format) {
            let copy_row = |index: usize, out: &mut [u8]| {
                let bytes = bytes_of(row_of(index));
                out[..bytes.len()].copy_from_slice(bytes);
                tensor.ensure_finite(bytes)
            };
            copy(format, shape, copy_row, release)
        } else {
            pack(&tensor.name, format, shape, |rows| {
                let mut values = Vec::with_capacity(rows.len() * n_columns);
                for row in rows.clone() {
                    values.append(&mut dequantize(tensor, bytes_of(row_of(row)))?);
                }
                release(rows);
                Ok::<_, GgufError>(values)
            })
        };
        matrix.map(Some)
    }

    fn place(&self, parameter: &Parameter) -> Result<Place<'_>, GgufError> {
        let path = &parameter.path;
        let (prefix, part) = match layer_of(path) {
            Some((layer, part)) => (format!("blk.{layer}."), part),
            None => (String::new(), path.as_str()),
        };
        let rows = self.traits.layer.iter().copied().chain([ENDS]).flatten();
        let of_part = |row: &&Row| row.1.contains(&part);
        let uncarried =
            || GgufError::Uncarried { path: path.clone(), architecture: self.traits.name };
        let (name, parts, form) = rows.into_iter().find(of_part).ok_or_else(uncarried)?;
        let name = format!("{prefix}{name}");
        let tensor = self
            .file
            .tensor(&name)
            .ok_or_else(|| GgufError::MissingTensor { name: name.clone() })?;
        self.used.borrow_mut().insert(name.clone());
        let n_outputs_of = |part: &str| self.n_outputs(part, parameter, *form);
        let first = parts.iter().take_while(|other| **other != part).map(|part| n_outputs_of(part));
        let (first, len) = (first.sum(), n_outputs_of(part));
        let all: usize = parts.iter().map(|part| n_outputs_of(part)).sum();
        let expected = match form {
            Form::Vector => vec![all],
            Form::Matrix => vec![parameter.shape[0], all],
            Form::Table => vec![parameter.shape[1], all],
        };
        if tensor.dims != expected {
            return Err(GgufError::Dimensions { name, found: tensor.dims.clone(), expected });
        }
        Ok(Place { tensor, first, len, form: *form })
    }

    /// Outputs of a part of the tensor that `parameter` is in.
    fn n_outputs(&self, part: &str, parameter: &Parameter, form: Form) -> usize {
        let config = self.config;
        match part.rsplit_once('.').map_or(part, |(part, _)| part) {
            // Of tensors with several parts.
            "attention.query" => config.n_heads * config.d_head,
            "attention.key" | "attention.value" => config.n_kv_heads * config.d_head,
            "mlp.gate" | "mlp.up" => config.d_ff,
            _ if form == Form::Matrix => parameter.shape[1],
            _ => parameter.shape[0],
        }
    }

    /// Nothing in the file is left out, but what is computed from the config.
    fn refuse_others(&self) -> Result<(), GgufError> {
        const COMPUTED: [&str; 3] =
            ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];
        let used = self.used.borrow();
        let is_known = |name: &str| used.contains(name) || COMPUTED.contains(&name);
        match self.file.tensors().iter().find(|tensor| !is_known(&tensor.name)) {
            None => Ok(()),
            Some(tensor) => Err(GgufError::UnknownTensor {
                name: tensor.name.to_string(),
                architecture: self.traits.name,
            }),
        }
    }
}

/// The number of a layer, and the path inside it.
fn layer_of(path: &str) -> Option<(usize, &str)> {
    let (number, part) = path.strip_prefix("layers.")?.split_once('.')?;
    Some((number.parse().ok()?, part))
}

fn without_layer(path: &str) -> &str {
    layer_of(path).map_or(path, |(_, part)| part)
}

/// The row of a file, where halves are pairs, that holds a row of a head in two halves.
fn paired_row(index: usize, per_head: usize) -> usize {
    let (head, within, half) = (index / per_head, index % per_head, per_head / 2);
    head * per_head + 2 * (within % half) + within / half
}

/// The outputs of each head in two halves, from pairs: the reverse of what the writer does.
fn split_pairs(values: &[f32], n_heads: usize, n_inputs: usize) -> Vec<f32> {
    let rows: Vec<&[f32]> = values.chunks(n_inputs.max(1)).collect();
    let per_head = rows.len() / n_heads.max(1);
    if per_head < 2 {
        return values.to_vec();
    }
    let order = (0..rows.len()).map(|index| rows[paired_row(index, per_head)]);
    order.flatten().copied().collect()
}

/// From a row for each output to a row for each input.
fn transposed(values: &[f32], n_inputs: usize) -> Vec<f32> {
    let n_outputs = values.len() / n_inputs.max(1);
    let mut out = vec![0.0; values.len()];
    // In squares, of which both sides fit into the cache.
    const SIDE: usize = 32;
    for row in (0..n_outputs).step_by(SIDE) {
        for column in (0..n_inputs).step_by(SIDE) {
            for output in row..(row + SIDE).min(n_outputs) {
                for input in column..(column + SIDE).min(n_inputs) {
                    out[input * n_outputs + output] = values[output * n_inputs + input];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_halves() {
        let values: Vec<f32> = (0..16).map(|value| value as f32).collect();
        // Two heads of four outputs of two inputs.
        let found = split_pairs(&values, 2, 2);
        assert_eq!(found[..8], [0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0]);
        for (row, found) in found.chunks(2).enumerate() {
            assert_eq!(found[0], values[2 * paired_row(row, 4)]);
        }
        assert_eq!(found[8..10], [8.0, 9.0]);
    }

    #[test]
    fn rows_become_columns() {
        let values: Vec<f32> = (0..35 * 40).map(|value| value as f32).collect();
        let found = transposed(&values, 40);
        assert_eq!((found[1], found[35], found[35 * 2 + 3]), (40.0, 1.0, 122.0));
    }
}
