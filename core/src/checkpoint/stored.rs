//! A tensor as stored in its file, and its values.

use std::ops::Range;

use safetensors::Dtype;

use super::dtype::to_f32;
use super::eight_bits::Scales;
use super::{CheckpointError, Share, ensure_finite};

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
    fn n_values(&self) -> usize {
        self.shape.iter().product()
    }

    fn bytes(&self, range: Range<usize>) -> &'bytes [u8] {
        let width = self.data.len() / self.n_values().max(1);
        &self.data[range.start * width..range.end * width]
    }

    /// The values with these row-major indices; all of them finite.
    fn values(&self, range: Range<usize>) -> Result<Vec<f32>, CheckpointError> {
        let bytes = self.bytes(range.clone());
        match &self.scales {
            Some(scales) => scales.decode(self.name, range, bytes),
            None => {
                ensure_finite(self.name, self.dtype, bytes, self.data)?;
                to_f32(self.name, self.dtype, bytes)
            }
        }
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
