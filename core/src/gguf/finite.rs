//! Detects NaN and infinite values in stored blocks by their scales, without decoding.

use half::f16;
use safetensors::Dtype;

use super::{GgufError, GgufTensor, GgufType};
use crate::checkpoint::{CheckpointError, n_not_finite};

/// Location of the scales and offsets in a block.
enum Scales {
    /// Every value is a float.
    Each(Dtype),
    F16(&'static [usize]),
    F32(&'static [usize]),
    /// A power of two in the first byte; 0xff is NaN.
    E8M0,
    /// An f16 distributed over the top four bits of four 16-bit numbers at this offset.
    Spread(usize),
    None,
}

/// Offsets from ggml's block structs.
fn scales(kind: GgufType) -> Scales {
    use GgufType as T;
    match kind {
        T::F32 => Scales::Each(Dtype::F32),
        T::F16 => Scales::Each(Dtype::F16),
        T::BF16 => Scales::Each(Dtype::BF16),
        T::F64 => Scales::Each(Dtype::F64),
        T::Q4_0 | T::Q5_0 | T::Q8_0 | T::IQ4_NL | T::IQ4_XS => Scales::F16(&[0]),
        T::IQ1_S | T::IQ2_XXS | T::IQ2_XS | T::IQ2_S | T::IQ3_XXS | T::IQ3_S => Scales::F16(&[0]),
        T::Q4_1 | T::Q5_1 | T::Q4_K | T::Q5_K => Scales::F16(&[0, 2]),
        T::Q2_K => Scales::F16(&[80, 82]),
        T::Q3_K => Scales::F16(&[108]),
        T::Q6_K => Scales::F16(&[208]),
        T::TQ1_0 => Scales::F16(&[52]),
        T::TQ2_0 => Scales::F16(&[64]),
        T::Q8_1 => Scales::F32(&[0, 4]),
        T::Q8_K => Scales::F32(&[0]),
        T::MXFP4 => Scales::E8M0,
        T::IQ1_M => Scales::Spread(48),
        T::I8 | T::I16 | T::I32 | T::I64 => Scales::None,
    }
}

/// Number of blocks in `bytes` with a NaN or infinite value; `bytes` holds whole blocks.
pub(super) fn n_blocks_not_finite(kind: GgufType, bytes: &[u8]) -> usize {
    let count = |is_bad: &dyn Fn(&[u8]) -> bool| {
        bytes.chunks_exact(kind.block_bytes()).filter(|block| is_bad(block)).count()
    };
    let pair = |block: &[u8], at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
    match scales(kind) {
        Scales::None => 0,
        Scales::Each(dtype) => n_not_finite(dtype, bytes),
        Scales::F16(offsets) => {
            count(&|block| offsets.iter().any(|&at| !f16::from_bits(pair(block, at)).is_finite()))
        }
        Scales::F32(offsets) => count(&|block| {
            offsets.iter().any(|&at| n_not_finite(Dtype::F32, &block[at..at + 4]) > 0)
        }),
        Scales::E8M0 => count(&|block| block[0] == 0xff),
        Scales::Spread(start) => count(&|block| {
            let top = |number: usize| pair(block, start + 2 * number) >> 12 << (4 * number);
            !f16::from_bits(top(0) | top(1) | top(2) | top(3)).is_finite()
        }),
    }
}

impl GgufTensor<'_> {
    /// Checks that the values in a piece of the tensor's bytes, a whole number of blocks, are
    /// finite; the error counts those of the entire tensor.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`].
    pub fn ensure_finite(&self, piece: &[u8]) -> Result<(), GgufError> {
        if n_blocks_not_finite(self.kind, piece) == 0 {
            return Ok(());
        }
        let n_blocks = n_blocks_not_finite(self.kind, self.data).max(1);
        Err(GgufError::Checkpoint(CheckpointError::NotFinite {
            name: self.name.to_string(),
            // A scale that is not finite makes every value of its block non-finite.
            n_not_finite: n_blocks * self.kind.block(),
            n_values: self.dims.iter().product(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    /// Three blocks of zeros, the second with these bytes at `at`.
    fn sentence(kind: GgufType, at: usize, bytes: &[u8]) -> Option<String> {
        let n_bytes = kind.block_bytes();
        let mut data = vec![0; 3 * n_bytes];
        data[n_bytes + at..][..bytes.len()].copy_from_slice(bytes);
        let dims = vec![3 * kind.block()];
        let tensor = GgufTensor { name: Cow::Borrowed("t"), dims, kind, data: &data };
        tensor.ensure_finite(&data).err().map(|error| error.to_string())
    }

    #[test]
    fn a_block_with_a_scale_that_is_not_finite_is_named_with_how_many_values_it_has() {
        let nan = f16::NAN.to_le_bytes();
        let infinite = f16::NEG_INFINITY.to_le_bytes();
        for (kind, at, bytes) in [
            (GgufType::Q8_0, 0, &nan[..]),
            (GgufType::Q4_0, 0, &infinite),
            (GgufType::Q5_1, 2, &nan),
            (GgufType::Q2_K, 82, &nan),
            (GgufType::Q3_K, 108, &infinite),
            (GgufType::Q6_K, 208, &nan),
            (GgufType::Q8_K, 0, &f32::NAN.to_le_bytes()),
            (GgufType::TQ2_0, 64, &nan),
            (GgufType::MXFP4, 0, &[0xff]),
            (GgufType::F32, 0, &f32::INFINITY.to_le_bytes()),
            (GgufType::BF16, 0, &[0x80, 0x7f]),
        ] {
            let found = sentence(kind, at, bytes).unwrap_or_else(|| panic!("{kind:?} passed"));
            let n_values = kind.block();
            let expected = format!("tensor \"t\" holds {n_values} value");
            assert!(found.starts_with(&expected), "{kind:?}: {found}");
        }
    }

    #[test]
    fn the_scale_of_iq1_m_is_assembled_from_four_numbers() {
        // 0x7c00, infinity, from its lowest four bits to its highest.
        let spread = [0x0fff_u16, 0x0fff, 0xcfff, 0x7fff].map(u16::to_le_bytes).concat();
        assert!(sentence(GgufType::IQ1_M, 48, &spread).is_some());
        let finite = [0xffff_u16, 0xffff, 0xbfff, 0x7fff].map(u16::to_le_bytes).concat();
        assert!(sentence(GgufType::IQ1_M, 48, &finite).is_none());
    }

    #[test]
    fn codes_are_any_bytes() {
        assert!(sentence(GgufType::Q8_0, 2, &[0xff; 32]).is_none());
        assert!(sentence(GgufType::I16, 0, &[0xff; 2]).is_none());
    }
}
