//! Reads the tensors of a checkpoint as parameters of a model.

use std::ops::Range;

use boomerang_kernels::{PackedFormat, PackedMatrix};
use burn::tensor::{Device, TensorData};
use safetensors::tensor::TensorView;

use super::eight_bits::Scales;
use super::foreign::refuse_dtype;
use super::names::TensorLocation;
use super::stored::RawTensor;
use super::used::{Described, Used};
use super::{Checkpoint, CheckpointError, Names, Share, pack};
use crate::config::{LayerKind, ModelConfig};
use crate::model::parameters::Parameter;
use crate::model::{DecoderLayer, LanguageModel, Packable, Values, WeightFormat};

impl<'bytes> Checkpoint<'bytes> {
    /// The model that `config` describes, in f32 on `device`.
    ///
    /// # Errors
    /// [`CheckpointError`] names the tensor that is missing or invalid.
    pub fn read_model(
        &self,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<LanguageModel, CheckpointError> {
        self.read_model_releasing(config, device, |_| {})
    }

    /// As [`Checkpoint::read_model`], and passes the stored bytes to `release` once they have been
    /// read, piece by piece, so that a mapped file need not stay in memory in addition to the
    /// model.
    ///
    /// # Errors
    /// As [`Checkpoint::read_model`].
    pub fn read_model_releasing(
        &self,
        config: &ModelConfig,
        device: &Device,
        release: impl FnMut(&[u8]),
    ) -> Result<LanguageModel, CheckpointError> {
        self.read_model_as(WeightFormat::F32, config, device, release)
    }

    /// As [`Checkpoint::read_model_releasing`], with its matrices in memory in this format where the
    /// device is the CPU. They are packed one after another: all in f32 never exist.
    ///
    /// # Errors
    /// As [`Checkpoint::read_model`], and [`CheckpointError::TooLarge`] for a value that the format does
    /// not hold.
    pub fn read_model_as(
        &self,
        format: WeightFormat,
        config: &ModelConfig,
        device: &Device,
        release: impl FnMut(&[u8]),
    ) -> Result<LanguageModel, CheckpointError> {
        Used::by(config).refuse_others(self.described())?;
        self.read_parameters(format, config, device, release)
    }

    fn read_parameters(
        &self,
        format: WeightFormat,
        config: &ModelConfig,
        device: &Device,
        mut release: impl FnMut(&[u8]),
    ) -> Result<LanguageModel, CheckpointError> {
        let names = Names::of(config);
        self.refuse_broken_tie(config, &names)?;
        LanguageModel::build(config, device, |parameter| {
            self.values(format, &names, parameter, &mut release)
        })
    }

    fn values(
        &self,
        format: WeightFormat,
        names: &Names<'_>,
        parameter: &Parameter,
        release: &mut dyn FnMut(&[u8]),
    ) -> Result<Values, CheckpointError> {
        let packed = self.packed_parameter(format, names, parameter, release)?;
        match packed {
            Some(matrix) => Ok(Values::Packed(matrix)),
            None => self.parameter(names, parameter, release).map(Values::Wide),
        }
    }

    /// One layer of the model that `config` describes.
    ///
    /// # Errors
    /// As [`Checkpoint::read_model`].
    ///
    /// # Panics
    /// If the model has no such layer.
    pub fn read_layer_of(
        &self,
        config: &ModelConfig,
        number: usize,
        device: &Device,
        mut release: impl FnMut(&[u8]),
    ) -> Result<DecoderLayer, CheckpointError> {
        let names = Names::of(config);
        let prefix = format!("layers.{number}");
        DecoderLayer::build(config, config.layers[number], &prefix, device, |parameter| {
            self.parameter(&names, parameter, &mut release)
        })
    }

    /// Embedding, final norm and head of the model that `config` describes.
    ///
    /// # Errors
    /// As [`Checkpoint::read_model`].
    pub fn read_ends_of(
        &self,
        config: &ModelConfig,
        device: &Device,
        release: impl FnMut(&[u8]),
    ) -> Result<LanguageModel, CheckpointError> {
        Used::by(config).refuse_others(self.described())?;
        let without_layers = config.with_layers(Vec::new(), config.tied);
        self.read_parameters(WeightFormat::F32, &without_layers, device, release)
    }

    /// Reads a single layer from a file that holds nothing else, with tensor names relative to the
    /// layer; its matrices are kept in this format where the device is the CPU.
    ///
    /// # Errors
    /// As [`Checkpoint::read_model_as`].
    pub fn read_layer_as(
        &self,
        format: WeightFormat,
        config: &ModelConfig,
        kind: LayerKind,
        device: &Device,
    ) -> Result<DecoderLayer, CheckpointError> {
        let names = Names::of(config);
        Used::by(config).refuse_others_in_layer(self.names())?;
        DecoderLayer::build(config, kind, "", device, |parameter| {
            self.values(format, &names, parameter, &mut |_| {})
        })
    }

    /// Checks that the checkpoint holds exactly the model that `config` describes, without reading
    /// a weight.
    ///
    /// # Errors
    /// As [`Checkpoint::read_model`].
    pub fn check(&self, config: &ModelConfig) -> Result<(), CheckpointError> {
        let names = Names::of(config);
        Used::by(config).refuse_others(self.described())?;
        self.refuse_broken_tie(config, &names)?;
        each_parameter(config, |parameter| {
            self.fitting(&location_of(&names, parameter)?, parameter).map(|_| ())
        })
    }

    pub(super) fn described(&self) -> impl Iterator<Item = Described<'_>> {
        let tensors = self.tensors.iter();
        tensors.map(|(name, view)| Described { name, dtype: view.dtype(), shape: view.shape() })
    }

    /// The tensor, checked to have the parameter's shape and a supported dtype.
    fn fitting<'location>(
        &self,
        location: &'location TensorLocation,
        parameter: &Parameter,
    ) -> Result<RawTensor<'location, 'bytes>, CheckpointError> {
        let (name, view) = self.locate(location)?;
        fits(location, parameter, name, view.shape())?;
        refuse_dtype(name, view.dtype())?;
        self.refuse_second(location, name, view)?;
        let scales = Scales::find(self, name, view)?;
        Ok(RawTensor {
            name,
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            data: view.data(),
            scales,
        })
    }

    /// The parameter in this format; `None` for what is in f32: a vector, or values that are stored in
    /// another format.
    fn packed_parameter(
        &self,
        format: WeightFormat,
        names: &Names<'_>,
        parameter: &Parameter,
        release: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<PackedMatrix>, CheckpointError> {
        let Some(packable) = Packable::find(parameter) else { return Ok(None) };
        let location = location_of(names, parameter)?;
        let stored = self.fitting(&location, parameter)?;
        let is_by_rows = packable == Packable::Table || location.storage.transposed;
        // Blocks of 8 bits lie along the rows of the file.
        let stored_format =
            stored.packed_format().filter(|it| is_by_rows || *it != PackedFormat::Q8_0);
        let Some(format) = format.of(stored_format) else { return Ok(None) };
        let [n_rows, n_columns] = packable.shape(parameter);
        if !is_by_rows {
            // A column for each output, which is rare: the matrix is turned in f32.
            let values = self.parameter(names, parameter, release)?;
            let values = values.iter::<f32>().collect::<Vec<f32>>();
            let values = transpose(&values, n_columns, n_rows);
            let of_rows = |rows: Range<usize>| {
                Ok::<_, CheckpointError>(
                    values[rows.start * n_columns..rows.end * n_columns].to_vec(),
                )
            };
            return pack(stored.name, format, [n_rows, n_columns], of_rows).map(Some);
        }
        let n_stored = stored.n_values() / n_columns.max(1);
        let rows: Vec<usize> = location.storage.share.ranges(n_stored).flatten().collect();
        let matrix = stored.packed(format, &rows, n_columns, release)?;
        if let Some(scales) = stored.scales {
            release(scales.data());
        }
        Ok(Some(matrix))
    }

    pub(super) fn parameter(
        &self,
        names: &Names<'_>,
        parameter: &Parameter,
        release: &mut dyn FnMut(&[u8]),
    ) -> Result<TensorData, CheckpointError> {
        let location = location_of(names, parameter)?;
        let stored = self.fitting(&location, parameter)?;
        let values = if location.storage.share == Share::WHOLE {
            stored.whole(release)?
        } else {
            let values = stored.share(location.storage.share, location.storage.transposed)?;
            release(stored.data);
            values
        };
        if let Some(scales) = stored.scales {
            release(scales.data());
        }
        let values = match (location.storage.transposed, parameter.shape.as_slice()) {
            (true, &[n_inputs, n_outputs]) => transpose(&values, n_outputs, n_inputs),
            _ => values,
        };
        Ok(TensorData::new(values, parameter.shape.clone()))
    }

    /// The tensor and its name in the files.
    pub(crate) fn locate<'location>(
        &self,
        location: &'location TensorLocation,
    ) -> Result<(&'location str, &TensorView<'bytes>), CheckpointError> {
        let name = location.names().find(|name| self.contains(name)).unwrap_or(&location.name);
        Ok((name, self.tensor(name)?))
    }

    /// If a parameter is stored under several names, all values must be the same.
    fn refuse_second(
        &self,
        location: &TensorLocation,
        first: &str,
        view: &TensorView<'_>,
    ) -> Result<(), CheckpointError> {
        let others = location.names().filter(|name| *name != first);
        let mut others = others.filter_map(|name| Some((name, self.tensors.get(name)?)));
        let differs =
            |other: &TensorView<'_>| other.dtype() != view.dtype() || other.data() != view.data();
        match others.find(|(_, other)| differs(other)) {
            None => Ok(()),
            Some((second, _)) => {
                let (first, second) = (first.to_owned(), second.clone());
                Err(CheckpointError::Twice { first, second })
            }
        }
    }

    fn refuse_broken_tie(
        &self,
        config: &ModelConfig,
        names: &Names<'_>,
    ) -> Result<(), CheckpointError> {
        let find = |path| names.find(path);
        let (Some(embedding), Some(head)) = (find("embedding.tokens.weight"), find("head.weight"))
        else {
            return Ok(());
        };
        let (Ok((_, embedding)), Ok((head_name, head))) =
            (self.locate(&embedding), self.locate(&head))
        else {
            return Ok(());
        };
        if config.tied && embedding.data() != head.data() {
            return Err(CheckpointError::TiedButDifferent { head: head_name.to_owned() });
        }
        Ok(())
    }
}

/// Checks that these tensors are exactly the model that `config` describes; `missing` makes the
/// error for a missing tensor.
pub(super) fn check_described<'tensors>(
    config: &ModelConfig,
    all: impl Iterator<Item = Described<'tensors>>,
    find: impl Fn(&str) -> Option<Described<'tensors>>,
    missing: impl Fn(&str) -> CheckpointError,
) -> Result<(), CheckpointError> {
    let names = Names::of(config);
    Used::by(config).refuse_others(all)?;
    let check = |parameter: &Parameter| {
        let location = location_of(&names, parameter)?;
        let found = location.names().find_map(|name| find(name));
        let found = found.ok_or_else(|| missing(&location.name))?;
        fits(&location, parameter, found.name, found.shape)?;
        refuse_dtype(found.name, found.dtype)
    };
    each_parameter(config, check)
}

/// Calls `check` with every parameter of a model until it returns an error.
fn each_parameter(
    config: &ModelConfig,
    check: impl Fn(&Parameter) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    let mut outcome = Ok(());
    LanguageModel::for_each_parameter(config, |parameter| {
        if outcome.is_ok() {
            outcome = check(parameter);
        }
    });
    outcome
}

pub(super) fn location_of(
    names: &Names<'_>,
    parameter: &Parameter,
) -> Result<TensorLocation, CheckpointError> {
    let location = names.find(&parameter.path);
    location.ok_or_else(|| CheckpointError::Unnamed { path: parameter.path.clone() })
}

fn fits(
    location: &TensorLocation,
    parameter: &Parameter,
    name: &str,
    found: &[usize],
) -> Result<(), CheckpointError> {
    let expected = location.stored_shape(&parameter.shape);
    if expected.as_deref() == Some(found) {
        return Ok(());
    }
    let (found, expected) = (found.to_vec(), expected.unwrap_or_default());
    Err(CheckpointError::Shape { name: name.to_owned(), expected, found })
}

/// `[rows, columns]` -> `[columns, rows]`, row-major.
pub(crate) fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    // Square tiles keep both sides in cache.
    const TILE: usize = 32;
    let mut transposed = vec![0.0; values.len()];
    for top in (0..rows).step_by(TILE) {
        for left in (0..columns).step_by(TILE) {
            for row in top..rows.min(top + TILE) {
                for column in left..columns.min(left + TILE) {
                    transposed[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    transposed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_gives_the_matrix_back() {
        let values: Vec<f32> = (0..35 * 67).map(|value| value as f32).collect();
        let transposed = transpose(&values, 35, 67);
        assert_eq!(transposed[1], 67.0);
        assert_eq!(transpose(&transposed, 67, 35), values);
    }
}
