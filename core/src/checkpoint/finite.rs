//! Detects NaN and infinite values: in stored bytes before anything is computed from them, and
//! before they are written.
//!
//! Counting inspects bits, so that bytes which are only copied need not be decoded.

use half::{bf16, f16};
use safetensors::Dtype;

use super::{CheckpointError, Precision};

/// How many of the values stored in `bytes` are NaN or infinite; 0 for types that have no such value.
pub fn n_not_finite(dtype: Dtype, bytes: &[u8]) -> usize {
    let with_exponent = |mask: u16| {
        let pairs = bytes.as_chunks().0.iter();
        pairs.filter(|&&pair| u16::from_le_bytes(pair) & mask == mask).count()
    };
    let singles = |is_bad: fn(u8) -> bool| bytes.iter().filter(|&&byte| is_bad(byte)).count();
    match dtype {
        Dtype::F16 => with_exponent(0x7c00),
        Dtype::BF16 => with_exponent(0x7f80),
        Dtype::F32 => {
            const MASK: u32 = 0x7f80_0000;
            let quads = bytes.as_chunks().0.iter();
            quads.filter(|&&quad| u32::from_le_bytes(quad) & MASK == MASK).count()
        }
        Dtype::F64 => {
            let eights = bytes.as_chunks().0.iter();
            eights.filter(|&&eight| !f64::from_le_bytes(eight).is_finite()).count()
        }
        Dtype::F8_E4M3 => singles(|byte| byte & 0x7f == 0x7f),
        Dtype::F8_E5M2 => singles(|byte| byte & 0x7c == 0x7c),
        Dtype::F8_E8M0 => singles(|byte| byte == 0xff),
        // Their only NaN is encoded as negative zero.
        Dtype::F8_E4M3FNUZ | Dtype::F8_E5M2FNUZ => singles(|byte| byte == 0x80),
        _ => 0,
    }
}

/// Checks that the values in `piece` of a tensor are finite; the error counts those of `whole`, the
/// stored bytes of the entire tensor.
///
/// # Errors
/// [`CheckpointError::NotFinite`].
pub fn ensure_finite(
    name: &str,
    dtype: Dtype,
    piece: &[u8],
    whole: &[u8],
) -> Result<(), CheckpointError> {
    if n_not_finite(dtype, piece) == 0 {
        return Ok(());
    }
    Err(CheckpointError::NotFinite {
        name: name.to_owned(),
        // A piece read from disk may be newer than the memory mapping of the whole.
        n_not_finite: n_not_finite(dtype, whole).max(1),
        n_values: whole.len() * 8 / dtype.bitsize(),
    })
}

/// The range of a number format.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Range {
    F32,
    Bf16,
    F16,
    /// A scale in f16, which is the largest magnitude of its block divided by this.
    ScaleOver(f32),
}

impl Range {
    fn holds(self, value: f32) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => bf16::from_f32(value).is_finite(),
            Self::F16 => f16::from_f32(value).is_finite(),
            Self::ScaleOver(divisor) => f16::from_f32(value.abs() / divisor).is_finite(),
        }
    }

    /// The largest representable value.
    fn end(self) -> f32 {
        match self {
            Self::F32 => f32::MAX,
            Self::Bf16 => bf16::MAX.to_f32(),
            Self::F16 => f16::MAX.to_f32(),
            Self::ScaleOver(divisor) => f16::MAX.to_f32() * divisor,
        }
    }
}

impl From<Precision> for Range {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::F16 => Self::F16,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

/// Counts, piece by piece, the values that cannot be written in a format with this range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    format: &'static str,
    range: Range,
    n_values: usize,
    n_not_finite: usize,
    n_too_large: usize,
    largest: f32,
}

impl Refusal {
    pub(crate) fn new(format: &'static str, range: Range) -> Self {
        Self { format, range, n_values: 0, n_not_finite: 0, n_too_large: 0, largest: 0.0 }
    }

    pub(crate) fn count(&mut self, values: &[f32]) {
        self.n_values += values.len();
        for &value in values {
            if !value.is_finite() {
                self.n_not_finite += 1;
            } else if !self.range.holds(value) {
                self.n_too_large += 1;
                self.largest = self.largest.max(value.abs());
            }
        }
    }

    /// The error; values that are not finite come first, because no format holds them.
    pub(crate) fn error(self, name: &str) -> CheckpointError {
        let (name, n_values) = (name.to_owned(), self.n_values);
        if self.n_not_finite > 0 {
            return CheckpointError::NotFinite { name, n_not_finite: self.n_not_finite, n_values };
        }
        CheckpointError::TooLarge {
            name,
            n_too_large: self.n_too_large,
            n_values,
            format: self.format,
            largest: self.largest,
            end: self.range.end(),
        }
    }

    /// As [`Refusal::error`], given all values of the tensor.
    pub(crate) fn of(mut self, name: &str, values: &[f32]) -> CheckpointError {
        self.count(values);
        self.error(name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::to_f32;
    use super::*;

    #[test]
    fn counting_bits_agrees_with_decoding() {
        let every_pair: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let every_byte: Vec<u8> = (0..=u8::MAX).collect();
        // As the upper half of an f32, where its exponent is.
        let quads: Vec<u8> =
            (0..=u16::MAX).flat_map(|pair| (u32::from(pair) << 16).to_le_bytes()).collect();
        for (dtype, bytes) in [
            (Dtype::F16, &every_pair),
            (Dtype::BF16, &every_pair),
            (Dtype::F32, &quads),
            (Dtype::F8_E4M3, &every_byte),
            (Dtype::F8_E5M2, &every_byte),
        ] {
            let values = to_f32("t", dtype, bytes).unwrap();
            let expected = values.iter().filter(|value| !value.is_finite()).count();
            assert!(expected > 0);
            assert_eq!(n_not_finite(dtype, bytes), expected, "{dtype:?}");
        }
    }

    #[test]
    fn integers_are_always_finite() {
        assert_eq!(n_not_finite(Dtype::I64, &[0xff; 16]), 0);
    }

    #[test]
    fn the_error_counts_the_whole_tensor_and_not_the_piece() {
        let values = [1.0, f32::NAN, f32::INFINITY, 2.0, f32::NEG_INFINITY];
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        ensure_finite("t", Dtype::F32, &bytes[..4], &bytes).unwrap();
        let error = ensure_finite("t", Dtype::F32, &bytes[4..8], &bytes).unwrap_err();
        let expected = "tensor \"t\" holds 3 values that are NaN or infinite (of 5)";
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
