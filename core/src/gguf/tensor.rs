//! A tensor to be written: the byte ranges in the checkpoint, in pieces of a few megabytes, and
//! their conversion.

use std::ops::Range;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::{Encoding, GgufError};
use crate::checkpoint::{ensure_finite, to_f32, transpose};

/// A tensor to be written.
#[derive(Debug)]
pub struct Converted<'a> {
    pub name: String,
    /// Dimensions in ggml's order, row length first.
    pub dims: Vec<usize>,
    pub encoding: Encoding,
    pub(super) source: Source<'a>,
}

#[derive(Debug)]
pub(super) enum Source<'a> {
    Values(Vec<f32>),
    Stored(StoredOutputs<'a>),
}

/// Outputs of a stored tensor, in the order of the GGUF file.
#[derive(Debug)]
pub(super) struct StoredOutputs<'a> {
    /// Its name in the checkpoint.
    pub(super) stored_name: String,
    pub(super) view: &'a TensorView<'a>,
    pub(super) outputs: Vec<Range<usize>>,
    pub(super) n_inputs: usize,
    /// Whether outputs are rows; otherwise they are columns.
    pub(super) by_rows: bool,
    /// Added to each value: Gemma's norms are stored around 0.
    pub(super) offset: f32,
}

/// Stored bytes per piece. Their values in f32 take up to twice that.
const PIECE: usize = 2 << 20;

impl<'a> Converted<'a> {
    /// Size in the file in bytes.
    pub fn n_bytes(&self) -> usize {
        self.encoding.kind().n_bytes(&self.dims).unwrap_or(0)
    }

    /// The stored byte slices of each piece of the tensor, to be concatenated in this order and
    /// passed to [`Converted::encode`].
    pub fn pieces(&self) -> impl Iterator<Item = Vec<&'a [u8]>> {
        let pieces = match &self.source {
            // Nothing is read for it.
            Source::Values(_) => vec![Vec::new()],
            Source::Stored(stored) => stored.pieces(),
        };
        pieces.into_iter()
    }

    /// Encodes a piece for the file.
    ///
    /// # Errors
    /// [`GgufError::Checkpoint`] for a dtype that is not a float, and for values that are not
    /// finite or overflow the encoding; the error counts those of the entire tensor.
    pub fn encode(&self, stored: &[u8]) -> Result<Vec<u8>, GgufError> {
        match &self.source {
            Source::Values(values) => self.encoding.encode(&self.name, values),
            Source::Stored(source) => source.encode(stored, self.encoding),
        }
    }

    /// All bytes of the tensor, for small tensors or those already in memory.
    ///
    /// # Errors
    /// As [`Converted::encode`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, GgufError> {
        let mut bytes = Vec::new();
        for piece in self.pieces() {
            bytes.extend(self.encode(&piece.concat())?);
        }
        Ok(bytes)
    }
}

impl<'a> StoredOutputs<'a> {
    /// Bytes per value.
    fn width(&self) -> usize {
        self.view.data().len() / self.view.shape().iter().product::<usize>().max(1)
    }

    fn pieces(&self) -> Vec<Vec<&'a [u8]>> {
        let width = self.width();
        let per_piece = (PIECE / (self.n_inputs * width).max(1)).max(1);
        let data: &'a [u8] = self.view.data();
        let slice = |start: usize, len: usize| &data[start * width..(start + len) * width];
        let n_columns = self.view.shape().last().copied().unwrap_or(1);
        let pieces = cut(&self.outputs, per_piece).into_iter().map(|outputs| {
            if self.by_rows {
                let rows = outputs.iter();
                rows.map(|rows| slice(rows.start * self.n_inputs, rows.len() * self.n_inputs))
                    .collect()
            } else {
                let inputs = (0..self.n_inputs).flat_map(|input| {
                    let strip = |columns: &Range<usize>| {
                        slice(input * n_columns + columns.start, columns.len())
                    };
                    outputs.iter().map(strip).collect::<Vec<_>>()
                });
                inputs.collect()
            }
        });
        pieces.collect()
    }

    fn encode(&self, stored: &[u8], encoding: Encoding) -> Result<Vec<u8>, GgufError> {
        let name = &*self.stored_name;
        ensure_finite(name, self.view.dtype(), stored, self.view.data())?;
        let is_kept = matches!(
            (self.view.dtype(), encoding),
            (Dtype::F32, Encoding::F32)
                | (Dtype::F16, Encoding::F16)
                | (Dtype::BF16, Encoding::Bf16)
        );
        if is_kept && self.by_rows && self.offset == 0.0 {
            return Ok(stored.to_vec());
        }
        let values = self.values(stored)?;
        if let Some(encoded) = encoding.encode_finite(&values) {
            return Ok(encoded);
        }
        let mut refusal = encoding.refusal();
        for piece in self.pieces() {
            refusal.count(&self.values(&piece.concat())?);
        }
        Err(refusal.error(name).into())
    }

    /// The values of a piece, in the order of the file.
    fn values(&self, stored: &[u8]) -> Result<Vec<f32>, GgufError> {
        let mut values = to_f32(&self.stored_name, self.view.dtype(), stored)?;
        if !self.by_rows {
            let n_outputs = values.len() / self.n_inputs.max(1);
            values = transpose(&values, self.n_inputs, n_outputs);
        }
        if self.offset != 0.0 {
            values.iter_mut().for_each(|value| *value += self.offset);
        }
        Ok(values)
    }
}

/// Splits ranges into groups that cover at most `most` each.
fn cut(ranges: &[Range<usize>], most: usize) -> Vec<Vec<Range<usize>>> {
    let mut groups: Vec<Vec<Range<usize>>> = Vec::new();
    let mut left = 0;
    for range in ranges {
        let mut range = range.clone();
        while !range.is_empty() {
            if left == 0 {
                groups.push(Vec::new());
                left = most;
            }
            let end = range.end.min(range.start + left);
            left -= end - range.start;
            if let Some(group) = groups.last_mut() {
                group.push(range.start..end);
            }
            range.start = end;
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_everything_once_and_in_order() {
        let groups = cut(&[0..5, 9..10, 6..9], 4).into_iter();
        let groups: Vec<Vec<usize>> =
            groups.map(|group| group.into_iter().flatten().collect()).collect();
        assert_eq!(groups, [vec![0, 1, 2, 3], vec![4, 9, 6, 7], vec![8]]);
    }
}
