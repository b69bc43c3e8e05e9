//! Matrices whose weights stay in 16 or 8 bits, and their products, which read them as they are.
//!
//! Decoding reads every weight once a token and is bound by it, so that half the bytes take half the
//! time. Sums are in f32, as if each weight had been widened first; in WebAssembly those of q8_0 are in
//! integers (`integer.rs`).

mod columns;
mod few;
#[cfg(any(test, all(target_arch = "wasm32", target_feature = "simd128")))]
mod integer;
mod isa;
mod many;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(any(
    test,
    not(any(target_arch = "aarch64", all(target_arch = "wasm32", target_feature = "simd128")))
))]
mod portable;
mod rows;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::team::{SHARED_BYTES, share};
pub use columns::{few_times_columns, few_times_rows, times_columns, times_rows};
use isa::STEP;
use rows::{Stored, times};

/// The instructions that every processor has for which this is compiled.
#[cfg(target_arch = "aarch64")]
use neon::Neon as Baseline;
#[cfg(not(any(
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
use portable::Portable as Baseline;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use wasm::Simd128 as Baseline;

/// How the weights of a matrix are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedFormat {
    F16,
    Bf16,
    /// Blocks of 32 values of a row, 34 bytes each: a scale as f16 and a code as i8 per value, as in
    /// GGUF files.
    Q8_0,
}

impl PackedFormat {
    /// Values that are stored together.
    pub const BLOCK: usize = STEP;

    /// Bytes of [`PackedFormat::BLOCK`] values.
    pub fn block_bytes(self) -> usize {
        self.stored().step_bytes()
    }

    fn stored(self) -> Stored {
        match self {
            Self::F16 => Stored::F16,
            Self::Bf16 => Stored::Bf16,
            Self::Q8_0 => Stored::Q8_0,
        }
    }
}

/// A matrix in one of these formats, row by row; each row ends with zeros to a whole block.
pub struct PackedMatrix {
    format: PackedFormat,
    n_rows: usize,
    n_columns: usize,
    lines: Vec<Line>,
}

/// Memory is read in lines of this length; a vector that crosses two of them takes twice as long.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; LINE]);

const LINE: usize = 64;

/// A copy of rows that begins with a line; each ends with zeros to a whole block.
struct Aligned {
    lines: Vec<Line>,
    n: usize,
}

impl Aligned {
    fn copy(rows: &[f32], width: usize) -> Self {
        let padded = width.next_multiple_of(STEP);
        let n = rows.len() / width * padded;
        let mut lines = vec![Line([0; LINE]); (n * size_of::<f32>()).div_ceil(LINE)];
        // SAFETY: lines are bytes without padding, and any f32 may be written to them; as many were
        // reserved, and they are aligned for more than an f32.
        let copy = unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast::<f32>(), n) };
        for (copy, row) in copy.chunks_exact_mut(padded).zip(rows.chunks_exact(width)) {
            copy[..width].copy_from_slice(row);
        }
        Self { lines, n }
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: as in `copy`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.n) }
    }
}

impl PackedMatrix {
    /// Zeros, to be written by [`PackedMatrix::rows_mut`].
    pub fn zeros(format: PackedFormat, n_rows: usize, n_columns: usize) -> Self {
        let n_bytes = n_rows * n_columns.div_ceil(STEP) * format.block_bytes();
        let lines = vec![Line([0; LINE]); n_bytes.div_ceil(LINE)];
        Self { format, n_rows, n_columns, lines }
    }

    pub fn format(&self) -> PackedFormat {
        self.format
    }

    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// Bytes that the weights take.
    pub fn n_bytes(&self) -> usize {
        self.n_rows * self.stride()
    }

    /// Bytes of a row.
    fn stride(&self) -> usize {
        self.n_columns.div_ceil(STEP) * self.format.block_bytes()
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: lines are bytes without padding, and `n_bytes` of them were reserved.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.n_bytes()) }
    }

    /// The stored bytes of each row, whole blocks.
    pub fn rows_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let (stride, n_bytes) = (self.stride(), self.n_bytes());
        // SAFETY: as for `bytes`.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), n_bytes) };
        bytes.chunks_exact_mut(stride.max(1))
    }

    /// Writes a row as f32.
    ///
    /// # Panics
    /// If `out` has another length, or `row` is out of range.
    pub fn widen_row(&self, row: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.n_columns, "numbers of a row");
        let stored = &self.bytes()[row * self.stride()..(row + 1) * self.stride()];
        rows::widen(self.format.stored(), stored, out);
    }

    /// `y = w · x` for one vector. Lengths: `n_columns` -> `n_rows`
    ///
    /// # Panics
    /// If they have other lengths.
    pub fn times(&self, x: &[f32], y: &mut [f32]) {
        assert_eq!([x.len(), y.len()], [self.n_columns, self.n_rows], "columns and rows");
        let padded;
        let x = if x.len().is_multiple_of(STEP) {
            x
        } else {
            padded = Aligned::copy(x, x.len());
            &*padded
        };
        let (stored, stride, w) = (self.format.stored(), self.stride(), self.bytes());
        share(y, rows::TOGETHER, SHARED_BYTES / stride.max(1), |first, y| {
            let w = &w[first * stride..(first + y.len()) * stride];
            times(stored, x, w, stride, y);
        });
    }
}

impl std::fmt::Debug for PackedMatrix {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "PackedMatrix({:?}, {} x {})", self.format, self.n_rows, self.n_columns)
    }
}

#[cfg(test)]
pub(super) mod testing {
    use half::{bf16, f16};

    use super::*;

    /// Whole blocks of values as they are stored.
    pub(in crate::packed) fn stored(stored: Stored, values: &[f32]) -> Vec<u8> {
        let blocks = values.chunks(STEP).flat_map(|block| match stored {
            Stored::F32 => block.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>(),
            Stored::F16 => block.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
            Stored::Bf16 => block.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
            Stored::Q8_0 => {
                let scale =
                    f16::from_f32(block.iter().fold(0.0, |m: f32, x| m.max(x.abs())) / 127.0);
                let code = |x: &f32| (x / scale.to_f32()).round().clamp(-127.0, 127.0) as i8;
                let codes = block.iter().map(|x| code(x).cast_unsigned());
                scale.to_le_bytes().into_iter().chain(codes).collect()
            }
        });
        blocks.collect()
    }

    /// The values of whole blocks.
    pub(in crate::packed) fn values(stored: Stored, bytes: &[u8]) -> Vec<f32> {
        let half = |x: &[u8]| f16::from_le_bytes([x[0], x[1]]).to_f32();
        let of_block = |block: &[u8]| -> Vec<f32> {
            let pairs = block.chunks(2);
            match stored {
                Stored::F32 => {
                    block.chunks(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect()
                }
                Stored::F16 => pairs.map(half).collect(),
                Stored::Bf16 => pairs.map(|x| bf16::from_le_bytes([x[0], x[1]]).to_f32()).collect(),
                Stored::Q8_0 => {
                    block[2..].iter().map(|x| half(block) * f32::from(x.cast_signed())).collect()
                }
            }
        };
        bytes.chunks(stored.step_bytes()).flat_map(of_block).collect()
    }

    pub(crate) const FORMATS: [PackedFormat; 3] =
        [PackedFormat::F16, PackedFormat::Bf16, PackedFormat::Q8_0];

    /// A matrix of numbers without a pattern.
    pub(crate) fn matrix(format: PackedFormat, n_rows: usize, n_columns: usize) -> PackedMatrix {
        let mut matrix = PackedMatrix::zeros(format, n_rows, n_columns);
        for (index, row) in matrix.rows_mut().enumerate() {
            let mut values = crate::train::testing::numbers(n_columns, index as u32);
            values.resize(n_columns.next_multiple_of(STEP), 0.0);
            row.copy_from_slice(&stored(format.stored(), &values));
        }
        matrix
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::{FORMATS, matrix};
    use crate::train::testing::numbers;

    proptest! {
        #[test]
        fn a_product_is_that_of_the_widened_matrix(
            (n_rows, n_columns) in (0..70_usize, 0..150_usize),
        ) {
            let x = numbers(n_columns, 5);
            for format in FORMATS {
                let matrix = matrix(format, n_rows, n_columns);
                let mut y = vec![f32::NAN; n_rows];
                crate::together(|| matrix.times(&x, &mut y));
                let mut row = vec![f32::NAN; n_columns];
                for (index, y) in y.iter().enumerate() {
                    matrix.widen_row(index, &mut row);
                    let expected: f32 = row.iter().zip(&x).map(|(w, x)| w * x).sum();
                    prop_assert!((y - expected).abs() < 1e-3, "{format:?}: {y} {expected}");
                }
            }
        }
    }

    #[test]
    fn a_matrix_takes_the_bytes_of_its_format() {
        let n_bytes = FORMATS.map(|format| matrix(format, 3, 64).n_bytes());
        assert_eq!(n_bytes, [384, 384, 204]);
    }
}
