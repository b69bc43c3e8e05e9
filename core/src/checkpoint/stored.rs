//! A tensor as stored in its file, and its values.

use std::ops::Range;

use boomerang_kernels::{PackedFormat, PackedMatrix};
use safetensors::Dtype;

use super::dtype::to_f32;
use super::eight_bits::Scales;
use super::{CheckpointError, Share, copy, ensure_finite, pack};

/// A tensor as stored in its file.
pub(super) struct RawTensor<'name, 'bytes> {
    pub(super) name: &'name str,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) data: &'bytes [u8],
    /// Scales of an 8-bit tensor.
    pub(super) scales: Option<Scales<'bytes>>,
}

/// Values read before each release of their bytes.
const PIECE: usize = 1 << 18;

impl<'bytes> RawTensor<'_, 'bytes> {
    pub(super) fn n_values(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &'bytes [u8] {
        let width = self.data.len() / self.n_values().max(1);
        &self.data[range.start * width..range.end * width]
    }

    /// The values with these row-major indices; all of them finite.
    pub(super) fn values(&self, range: Range<usize>) -> Result<Vec<f32>, CheckpointError> {
        let bytes = self.bytes(range.clone());
        match &self.scales {
            Some(scales) => scales.decode(self.name, range, bytes),
            None => {
                ensure_finite(self.name, self.dtype, bytes, self.data)?;
                to_f32(self.name, self.dtype, bytes)
            }
        }
    }

    /// The format of a matrix that is stored as packed matrices are.
    pub(super) fn packed_format(&self) -> Option<PackedFormat> {
        match self.dtype {
            Dtype::F16 => Some(PackedFormat::F16),
            Dtype::BF16 => Some(PackedFormat::Bf16),
            Dtype::I8 => Some(PackedFormat::Q8_0),
            _ => None,
        }
    }

    /// A matrix of some of its rows, packed; `release` is given the stored bytes that were read.
    pub(super) fn packed(
        &self,
        format: PackedFormat,
        rows: &[usize],
        n_columns: usize,
        release: &mut dyn FnMut(&[u8]),
    ) -> Result<PackedMatrix, CheckpointError> {
        let shape = [rows.len(), n_columns];
        let values_of = |row: usize| row * n_columns..(row + 1) * n_columns;
        let mut release = |piece: Range<usize>| {
            // From the start: the system reads pages around the one that is asked for again.
            if let (Some(first), Some(last)) = (rows.first(), rows[piece].last()) {
                release(self.bytes(first * n_columns..(last + 1) * n_columns));
            }
        };
        if self.packed_format() != Some(format) {
            return pack(self.name, format, shape, |piece| {
                let mut values = Vec::with_capacity(piece.len() * n_columns);
                for &row in &rows[piece.clone()] {
                    values.append(&mut self.values(values_of(row))?);
                }
                release(piece);
                Ok(values)
            });
        }
        let copy_row = |index: usize, stored: &mut [u8]| {
            let bytes = self.bytes(values_of(rows[index]));
            match &self.scales {
                Some(scales) => scales.interleave(self.name, rows[index], bytes, stored),
                None => {
                    stored[..bytes.len()].copy_from_slice(bytes);
                    ensure_finite(self.name, self.dtype, bytes, self.data)
                }
            }
        };
        copy(format, shape, copy_row, release)
    }

    pub(super) fn whole(
        &self,
        release: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<f32>, CheckpointError> {
        let n_values = self.n_values();
        let mut values = Vec::with_capacity(n_values);
        for start in (0..n_values).step_by(PIECE) {
            let piece = start..n_values.min(start + PIECE);
            values.append(&mut self.values(piece.clone())?);
            release(self.bytes(piece));
        }
        Ok(values)
    }

    /// The values of a parameter in a fused tensor, as rows if the outputs are rows.
    pub(super) fn share(
        &self,
        share: Share,
        outputs_are_rows: bool,
    ) -> Result<Vec<f32>, CheckpointError> {
        // A bias is a row of outputs.
        let (n_rows, n_columns) = match *self.shape {
            [rows, columns] => (rows, columns),
            _ => (1, self.n_values()),
        };
        let mut values = Vec::new();
        if outputs_are_rows {
            for rows in share.ranges(n_rows) {
                values.extend(self.values(rows.start * n_columns..rows.end * n_columns)?);
            }
        } else {
            for start in (0..n_rows).map(|row| row * n_columns) {
                for columns in share.ranges(n_columns) {
                    values.extend(self.values(start + columns.start..start + columns.end)?);
                }
            }
        }
        Ok(values)
    }
}
