//! Converts stored values to f32.

use half::{bf16, f16};
use safetensors::Dtype;

use super::CheckpointError;

/// Widens stored values to f32, exactly.
///
/// # Errors
/// [`CheckpointError::Dtype`] for anything but floats of 8, 16 and 32 bits.
pub(crate) fn to_f32(name: &str, dtype: Dtype, data: &[u8]) -> Result<Vec<f32>, CheckpointError> {
    let pairs = || data.as_chunks::<2>().0.iter();
    match dtype {
        Dtype::F32 => {
            Ok(data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
        }
        Dtype::F16 => Ok(pairs().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect()),
        Dtype::BF16 => Ok(pairs().map(|&bytes| bf16::from_le_bytes(bytes).to_f32()).collect()),
        Dtype::F8_E4M3 => Ok(data.iter().map(|&byte| e4m3_to_f32(byte)).collect()),
        Dtype::F8_E5M2 => Ok(data.iter().map(|&byte| e5m2_to_f32(byte)).collect()),
        found => Err(CheckpointError::Dtype { name: name.to_owned(), found }),
    }
}

/// One sign, four exponent and three fraction bits; no infinity (arXiv:2209.05433).
fn e4m3_to_f32(byte: u8) -> f32 {
    let (exponent, fraction) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let magnitude = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => fraction * 2.0_f32.powi(-9),
        _ => (1.0 + fraction / 8.0) * 2.0_f32.powi(exponent - 7),
    };
    if byte >> 7 == 1 { -magnitude } else { magnitude }
}

/// The upper byte of an f16.
fn e5m2_to_f32(byte: u8) -> f32 {
    f16::from_bits(u16::from(byte) << 8).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_e4m3_are_where_its_paper_has_them() {
        assert_eq!(e4m3_to_f32(0b0111_1110), 448.0);
        assert_eq!(e4m3_to_f32(0b0000_0001), 2.0_f32.powi(-9));
        assert_eq!(e4m3_to_f32(0b1000_1000), -(2.0_f32.powi(-6)));
        assert!(e4m3_to_f32(0b0111_1111).is_nan());
    }

    #[test]
    fn the_ends_of_e5m2_are_where_its_paper_has_them() {
        assert_eq!(e5m2_to_f32(0b0111_1011), 57344.0);
        assert_eq!(e5m2_to_f32(0b0000_0001), 2.0_f32.powi(-16));
        assert_eq!(e5m2_to_f32(0b0111_1100), f32::INFINITY);
    }

    #[test]
    fn integers_are_not_weights() {
        let error = to_f32("t", Dtype::I8, &[1]).unwrap_err();
        let expected = "tensor \"t\" has dtype I8; supported: F32, F16, BF16, F8_E4M3, F8_E5M2";
        assert_eq!(error.to_string(), expected);
    }
}
