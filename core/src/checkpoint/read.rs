//! Tensors of a checkpoint as parameters of a model.

use burn::tensor::{Device, TensorData};
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::{Checkpoint, CheckpointError, Names, Orientation};
use crate::config::ModelConfig;
use crate::model::parameters::Parameter;
use crate::model::{DecoderLayer, LanguageModel};

impl Checkpoint<'_> {
    /// The model that `config` describes, in f32 on `device`.
    ///
    /// # Errors
    /// [`CheckpointError`] names the tensor that is missing or does not fit.
    pub fn read_model(
        &self,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<LanguageModel, CheckpointError> {
        let names = Names::of(config.architecture);
        self.refuse_broken_tie(config, names)?;
        LanguageModel::build(config, device, |parameter| self.parameter(names, parameter))
    }

    /// A single layer from a file that holds nothing else, its tensors named as inside a layer.
    ///
    /// # Errors
    /// As [`Checkpoint::read_model`].
    pub fn read_layer(
        &self,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<DecoderLayer, CheckpointError> {
        let names = Names::of(config.architecture);
        DecoderLayer::build(config, device, |parameter| self.parameter(names, parameter))
    }

    fn parameter(
        &self,
        names: Names,
        parameter: &Parameter,
    ) -> Result<TensorData, CheckpointError> {
        let (name, orientation) = names
            .in_checkpoint(&parameter.path)
            .ok_or_else(|| CheckpointError::Unnamed { path: parameter.path.clone() })?;
        let view = self.tensor(&name)?;
        let mut expected = parameter.shape.clone();
        if orientation == Orientation::Transposed {
            expected.reverse();
        }
        if view.shape() != expected {
            let found = view.shape().to_vec();
            return Err(CheckpointError::Shape { name, expected, found });
        }
        let values = to_f32(&name, &view)?;
        let values = match (orientation, expected.as_slice()) {
            (Orientation::Transposed, &[rows, columns]) => transpose(&values, rows, columns),
            _ => values,
        };
        Ok(TensorData::new(values, parameter.shape.clone()))
    }

    fn refuse_broken_tie(&self, config: &ModelConfig, names: Names) -> Result<(), CheckpointError> {
        let named = |path| names.in_checkpoint(path).map(|found| found.0);
        let (Some(embedding), Some(head)) = (named("embedding.weight"), named("head.weight"))
        else {
            return Ok(());
        };
        if config.tied
            && self.contains(&head)
            && self.contains(&embedding)
            && self.tensor(&embedding)?.data() != self.tensor(&head)?.data()
        {
            return Err(CheckpointError::TiedButDifferent);
        }
        Ok(())
    }
}

/// Widens the stored values to f32, exactly.
///
/// # Errors
/// [`CheckpointError::Dtype`] for anything but f32, f16 and bf16.
pub(super) fn to_f32(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, CheckpointError> {
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => {
            Ok(data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
        }
        Dtype::F16 => {
            Ok(data.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect())
        }
        Dtype::BF16 => Ok(data
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| bf16::from_le_bytes(bytes).to_f32())
            .collect()),
        found => Err(CheckpointError::Dtype { name: name.to_owned(), found }),
    }
}

/// `[rows, columns]` -> `[columns, rows]`, row-major.
pub(super) fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
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
