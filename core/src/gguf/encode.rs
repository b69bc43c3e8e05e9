//! Encodes values in the formats with an exact reference encoder.
//!
//! The results are bit-identical to the Python package `gguf` 0.19.0 (`quants.py`), as checked
//! against `tests/fixtures/gguf`. The K-quants have no encoder: llama.cpp searches for their
//! scales, and the result depends on how it was compiled.

use half::f16;

use super::finite::n_blocks_not_finite;
use super::{GgufError, GgufType};
use crate::checkpoint::{GROUP as BLOCK, Precision, Range, Refusal, quantize};

/// A format for written values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4_0,
}

impl Encoding {
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Bf16, Self::Q8_0, Self::Q4_0];

    /// # Errors
    /// [`GgufError::NoEncoder`] for any other format name, with an alternative.
    pub fn from_name(name: &str) -> Result<Self, GgufError> {
        let found = Self::ALL.into_iter().find(|encoding| encoding.name() == name);
        found.ok_or_else(|| GgufError::NoEncoder { name: name.to_owned() })
    }

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
        }
    }

    pub fn kind(self) -> GgufType {
        match self {
            Self::F32 => GgufType::F32,
            Self::F16 => GgufType::F16,
            Self::Bf16 => GgufType::BF16,
            Self::Q8_0 => GgufType::Q8_0,
            Self::Q4_0 => GgufType::Q4_0,
        }
    }

    /// The encoding of a type; `None` for a type without an encoder.
    pub fn of(kind: GgufType) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.kind() == kind)
    }

    /// `general.file_type`, in llama.cpp's numbering.
    pub fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 7,
            Self::Bf16 => 32,
        }
    }

    /// Encodes values of the tensor `name`, a whole number of blocks.
    ///
    /// # Errors
    /// [`GgufError::Checkpoint`] if a value is not finite or overflows this format.
    pub fn encode(self, name: &str, values: &[f32]) -> Result<Vec<u8>, GgufError> {
        self.encode_finite(values).ok_or_else(|| self.refusal().of(name, values).into())
    }

    /// As [`Encoding::encode`]; `None` instead of an error.
    pub(super) fn encode_finite(self, values: &[f32]) -> Option<Vec<u8>> {
        // Finding the maximum of a block ignores NaN.
        let is_finite = values.iter().all(|value| value.is_finite());
        let bytes = is_finite.then(|| self.bytes(values))?;
        (n_blocks_not_finite(self.kind(), &bytes) == 0).then_some(bytes)
    }

    /// Counts the values for which [`Encoding::encode_finite`] gives `None`.
    pub(super) fn refusal(self) -> Refusal {
        let range = match self {
            Self::F32 => Range::F32,
            Self::F16 => Range::F16,
            Self::Bf16 => Range::Bf16,
            Self::Q8_0 => Range::ScaleOver(127.0),
            Self::Q4_0 => Range::ScaleOver(8.0),
        };
        Refusal::new(self.name(), range)
    }

    fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => Precision::F32.bytes(values),
            Self::F16 => Precision::F16.bytes(values),
            Self::Bf16 => Precision::Bf16.bytes(values),
            Self::Q8_0 => values.as_chunks().0.iter().flat_map(q8_0).collect(),
            Self::Q4_0 => values.as_chunks().0.iter().flat_map(q4_0).collect(),
        }
    }
}

/// A scale in f16, then a signed byte per value.
fn q8_0(values: &[f32; BLOCK]) -> [u8; 34] {
    let (scale, codes) = quantize(values);
    let mut block = [0; 34];
    block[..2].copy_from_slice(&scale.to_le_bytes());
    for (byte, code) in block[2..].iter_mut().zip(codes) {
        *byte = code.cast_unsigned();
    }
    block
}

/// A scale in f16, then 4 bits per value: the first half of the values in the lower bits.
fn q4_0(values: &[f32; BLOCK]) -> [u8; 18] {
    // The first value of the largest magnitude gets the code -8, which has no positive counterpart.
    let largest =
        values.iter().fold(
            values[0],
            |largest, &value| {
                if value.abs() > largest.abs() { value } else { largest }
            },
        );
    let scale = largest / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let code = |value: f32| {
        let shifted = value * inverse + 8.5;
        if shifted.is_finite() { (shifted as i32).clamp(0, 15) as u8 } else { 0 }
    };
    let mut block = [0; 18];
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    let (first, second) = values.split_at(BLOCK / 2);
    for ((byte, &low), &high) in block[2..].iter_mut().zip(first).zip(second) {
        *byte = code(low) | code(high) << 4;
    }
    block
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    /// Blocks encoded by the Python package; see `tests/fixtures/make_gguf.py`.
    const BLOCKS: &[u8] = include_bytes!("../../../tests/fixtures/gguf/blocks.safetensors");

    #[test]
    fn every_block_is_that_of_the_python_package_bit_for_bit() {
        let file = SafeTensors::deserialize(BLOCKS).unwrap();
        let values = file.tensor("values").unwrap();
        let values: Vec<f32> =
            values.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        for encoding in [Encoding::F16, Encoding::Bf16, Encoding::Q8_0, Encoding::Q4_0] {
            let name = encoding.kind().name();
            let expected = file.tensor(&name).unwrap();
            let n_bytes = encoding.kind().n_bytes(&[BLOCK]).unwrap();
            let encoded = encoding.bytes(&values);
            let blocks = encoded.chunks(n_bytes).zip(expected.data().chunks(n_bytes));
            for (number, (found, expected)) in blocks.enumerate() {
                assert_eq!(found, expected, "{name}, block {number}");
            }
            assert_eq!(encoded.len(), expected.data().len(), "{name}");
        }
    }

    #[test]
    fn every_encoding_is_found_by_its_name_and_its_type() {
        for encoding in Encoding::ALL {
            assert_eq!(Encoding::from_name(encoding.name()).unwrap(), encoding);
            assert_eq!(Encoding::of(encoding.kind()), Some(encoding));
            let n_bytes = encoding.kind().n_bytes(&[64]).unwrap();
            assert_eq!(encoding.encode("t", &[0.5; 64]).unwrap().len(), n_bytes);
        }
        assert_eq!(Encoding::of(GgufType::Q4_K), None);
    }

    #[test]
    fn a_format_without_an_encoder_is_refused_with_what_to_do() {
        let sentence = Encoding::from_name("q4_k_m").unwrap_err().to_string();
        assert!(sentence.contains("llama-quantize"), "{sentence}");
    }

    #[test]
    fn the_largest_value_of_a_block_is_exact() {
        let mut values = [0.25_f32; 32];
        values[7] = -1.27;
        let block = q8_0(&values);
        assert_eq!(block[2 + 7] as i8, -127);
        let block = q4_0(&values);
        assert_eq!(block[2 + 7] & 15, 0, "-8 times a positive scale");
    }

    #[test]
    fn zeros_stay_zeros() {
        assert_eq!(q8_0(&[0.0; 32]), [0; 34]);
        let block = q4_0(&[0.0; 32]);
        assert!(block[2..].iter().all(|&byte| byte == 0x88));
    }

    #[test]
    fn a_block_whose_scale_would_be_infinite_is_refused_with_its_tensor() {
        let mut values = [1.0; 64];
        (values[3], values[40]) = (-3e7, 2e6);
        for (encoding, n_too_large, end) in
            [(Encoding::Q8_0, 1, "8.319"), (Encoding::Q4_0, 2, "5.24"), (Encoding::F16, 2, "6.55")]
        {
            let error = encoding.encode("t", &values).unwrap_err().to_string();
            let name = encoding.name();
            let expected = format!("\"t\" holds {n_too_large} value");
            assert!(error.contains(&expected) && error.contains("(of 64)"), "{error}");
            assert!(error.contains(&format!("too large for {name}")), "{error}");
            assert!(error.contains("up to 3e7") && error.contains(end), "{error}");
        }
        assert!(Encoding::Bf16.encode("t", &values).is_ok());
    }

    #[test]
    fn a_nan_between_numbers_is_refused_in_every_format() {
        let mut values = [1.0; 32];
        values[7] = f32::NAN;
        for encoding in Encoding::ALL {
            let error = encoding.encode("t", &values).unwrap_err().to_string();
            assert!(error.contains("holds 1 value that is NaN or infinite (of 32)"), "{error}");
        }
    }
}
