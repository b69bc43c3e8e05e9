//! Number formats of written weights.

use std::fmt;
use std::io::Write;

use half::{bf16, f16};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::dtype::to_f32;
use super::{Checkpoint, CheckpointError, Refusal, ensure_finite, n_not_finite};

/// A floating-point format of written weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    F32,
    F16,
    Bf16,
}

impl Precision {
    /// The name in `torch_dtype`.
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

    /// The format that represents this dtype exactly; f32 for anything else.
    pub fn of(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::Bf16,
            _ => Self::F32,
        }
    }

    /// The main format of a checkpoint, for other files of the same family.
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

    /// Converts a piece of the tensor `name` to this format. `piece` holds whole values; an error
    /// counts those of `whole`, the stored bytes of the entire tensor.
    ///
    /// # Errors
    /// [`CheckpointError::Dtype`] for anything but floats, [`CheckpointError::NotFinite`], or
    /// [`CheckpointError::TooLarge`] for a value that overflows this format.
    pub fn convert(
        self,
        name: &str,
        from: Dtype,
        piece: &[u8],
        whole: &[u8],
    ) -> Result<Vec<u8>, CheckpointError> {
        ensure_finite(name, from, piece, whole)?;
        let converted = self.bytes(&to_f32(name, from, piece)?);
        if n_not_finite(self.dtype(), &converted) == 0 {
            return Ok(converted);
        }
        let mut refusal = self.refusal();
        for piece in whole.chunks(PIECE) {
            refusal.count(&to_f32(name, from, piece)?);
        }
        Err(refusal.error(name))
    }

    /// Writes the values of the tensor `name` in this format, a piece at a time.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`], or [`CheckpointError::TooLarge`] for a value that overflows
    /// this format; [`CheckpointError::Output`] if `out` cannot be written.
    pub(crate) fn write(
        self,
        name: &str,
        values: &[f32],
        out: &mut dyn Write,
    ) -> Result<(), CheckpointError> {
        for piece in values.chunks(PIECE) {
            let bytes = self.bytes(piece);
            if n_not_finite(self.dtype(), &bytes) > 0 {
                return Err(self.refusal().of(name, values));
            }
            out.write_all(&bytes).map_err(CheckpointError::Output)?;
        }
        Ok(())
    }

    fn refusal(self) -> Refusal {
        let format = match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        };
        Refusal::new(format, self.into())
    }

    /// The values in this format, without checks.
    pub(crate) fn bytes(self, values: &[f32]) -> Vec<u8> {
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

/// Bytes per counting step, whole values of any type; values per step of writing.
const PIECE: usize = 1 << 20;

/// Number format of a model's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredAs {
    /// 8-bit matrices with a scale per 32 values, as in GGUF; vectors and learned position
    /// embeddings in f32.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_too_large_for_a_format_is_refused_with_its_size() {
        let write = |precision: Precision, values: &[f32]| {
            precision.write("t", values, &mut std::io::sink())
        };
        let sentence = |precision, values| write(precision, values).unwrap_err();
        assert_eq!(
            sentence(Precision::F16, &[1.0, -1e5, 65520.0]).to_string(),
            "tensor \"t\" holds 2 values too large for f16 (of 3): up to 1e5; the largest f16 \
             value is 6.5504e4; use bf16 or f32 instead"
        );
        let error = sentence(Precision::Bf16, &[f32::MAX]).to_string();
        assert!(error.contains("1 value too large for bf16"), "{error}");
        assert!(write(Precision::F16, &[65504.0, -65504.0]).is_ok());
        assert!(write(Precision::F32, &[f32::MAX]).is_ok());
    }

    #[test]
    fn no_format_holds_a_value_that_is_nan_or_infinite() {
        for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
            for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let error = precision.write("t", &[0.0, wrong], &mut std::io::sink()).unwrap_err();
                assert!(matches!(error, CheckpointError::NotFinite { n_not_finite: 1, .. }));
            }
        }
    }

    #[test]
    fn a_piece_that_is_refused_is_counted_with_the_rest_of_its_tensor() {
        let whole: Vec<u8> =
            [1e5_f32, 1.0, 2e5, 3e5].iter().flat_map(|value| value.to_le_bytes()).collect();
        let error = Precision::F16.convert("t", Dtype::F32, &whole[8..12], &whole).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("holds 3 values too large for f16 (of 4): up to 3e5"), "{error}");
    }
}
