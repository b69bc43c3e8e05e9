//! Packs matrices: from values, a piece at a time, or from blocks as they are stored.

use std::ops::Range;

use boomerang_kernels::{PackedFormat, PackedMatrix};
use half::{bf16, f16};

use super::eight_bits::{GROUP, quantize};
use super::{CheckpointError, Names, Precision, Range as NumberRange, Refusal};
use crate::config::ModelConfig;

/// Values that are read at a time.
const PIECE: usize = 1 << 18;

/// Packs the matrix `name` of `[rows, columns]`; `values` gives those of some rows.
///
/// # Errors
/// Those of `values`, and [`CheckpointError::NotFinite`] or [`CheckpointError::TooLarge`] for a value
/// that the format does not hold.
pub(crate) fn pack<E: From<CheckpointError>>(
    name: &str,
    format: PackedFormat,
    [n_rows, n_columns]: [usize; 2],
    mut values: impl FnMut(Range<usize>) -> Result<Vec<f32>, E>,
) -> Result<PackedMatrix, E> {
    let mut matrix = PackedMatrix::zeros(format, n_rows, n_columns);
    let (mut all_held, mut stored) = (true, matrix.rows_mut());
    for rows in pieces(n_rows, n_columns) {
        let piece = values(rows)?;
        for (row, stored) in piece.chunks_exact(n_columns.max(1)).zip(&mut stored) {
            all_held &= pack_row(format, row, stored);
        }
    }
    drop(stored);
    if all_held {
        return Ok(matrix);
    }
    let mut refusal = refusal(format);
    for rows in pieces(n_rows, n_columns) {
        refusal.count(&values(rows)?);
    }
    Err(refusal.error(name).into())
}

/// Whether matrices of this architecture that are stored in 8 bits stay so in memory: their files have
/// a row for each output, along which the blocks lie.
pub(crate) fn keeps_8_bits(config: &ModelConfig) -> bool {
    let names = Names::of(config);
    let found = names.find("layers.0.attention.output.weight");
    found.is_some_and(|location| location.storage.transposed)
}

/// Packs a matrix whose rows are stored in this format: `row` writes the bytes of one, and `after` is
/// called with rows that have been written.
pub(crate) fn copy<E>(
    format: PackedFormat,
    [n_rows, n_columns]: [usize; 2],
    mut row: impl FnMut(usize, &mut [u8]) -> Result<(), E>,
    mut after: impl FnMut(Range<usize>),
) -> Result<PackedMatrix, E> {
    let mut matrix = PackedMatrix::zeros(format, n_rows, n_columns);
    let mut stored = matrix.rows_mut();
    for rows in pieces(n_rows, n_columns) {
        for (index, stored) in rows.clone().zip(&mut stored) {
            row(index, stored)?;
        }
        after(rows);
    }
    drop(stored);
    Ok(matrix)
}

fn pieces(n_rows: usize, n_columns: usize) -> impl Iterator<Item = Range<usize>> {
    let per_piece = (PIECE / n_columns.max(1)).max(1);
    (0..n_rows).step_by(per_piece).map(move |first| first..n_rows.min(first + per_piece))
}

fn refusal(format: PackedFormat) -> Refusal {
    match format {
        PackedFormat::F16 => Refusal::new("f16", Precision::F16.into()),
        PackedFormat::Bf16 => Refusal::new("bf16", Precision::Bf16.into()),
        PackedFormat::Q8_0 => Refusal::new("q8_0", NumberRange::ScaleOver(127.0)),
    }
}

/// Whether the format holds all values.
fn pack_row(format: PackedFormat, row: &[f32], stored: &mut [u8]) -> bool {
    let pairs = stored.as_chunks_mut::<2>().0.iter_mut().zip(row);
    match format {
        PackedFormat::F16 => pairs.fold(true, |all, (pair, value)| {
            let rounded = f16::from_f32(*value);
            *pair = rounded.to_le_bytes();
            all & rounded.is_finite()
        }),
        PackedFormat::Bf16 => pairs.fold(true, |all, (pair, value)| {
            let rounded = bf16::from_f32(*value);
            *pair = rounded.to_le_bytes();
            all & rounded.is_finite()
        }),
        PackedFormat::Q8_0 => {
            let blocks = stored.chunks_exact_mut(format.block_bytes());
            row.chunks(GROUP).zip(blocks).fold(true, |all, (group, block)| {
                let (scale, codes) = quantize(group);
                block[..2].copy_from_slice(&scale.to_le_bytes());
                block[2..].iter_mut().zip(codes).for_each(|(byte, code)| {
                    *byte = code.cast_unsigned();
                });
                all & scale.is_finite() & group.iter().all(|value| !value.is_nan())
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [PackedFormat; 3] = [PackedFormat::F16, PackedFormat::Bf16, PackedFormat::Q8_0];

    #[test]
    fn packed_values_are_near_those_that_were_packed() {
        let values: Vec<f32> = (0..5 * 70).map(|index| (index as f32 * 0.7).sin()).collect();
        for (format, bound) in FORMATS.into_iter().zip([5e-4, 4e-3, 5e-3]) {
            let of_rows = |rows: Range<usize>| {
                Ok::<_, CheckpointError>(values[rows.start * 70..rows.end * 70].to_vec())
            };
            let matrix = pack("m", format, [5, 70], of_rows).unwrap();
            let mut row = vec![0.0; 70];
            for (index, expected) in values.chunks(70).enumerate() {
                matrix.widen_row(index, &mut row);
                for (found, expected) in row.iter().zip(expected) {
                    assert!((found - expected).abs() < bound, "{format:?}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn blocks_lie_along_the_rows_of_all_but_gpt2() {
        let keeps = |model_type: &str| {
            let json = format!(
                r#"{{"model_type": "{model_type}", "vocab_size": 11, "hidden_size": 8,
                    "intermediate_size": 12, "num_attention_heads": 2, "num_hidden_layers": 1,
                    "n_embd": 8, "n_head": 2, "n_layer": 1, "n_positions": 32}}"#
            );
            keeps_8_bits(&ModelConfig::from_json(&json).unwrap())
        };
        assert_eq!(["llama", "gpt2"].map(keeps), [true, false]);
    }

    #[test]
    fn a_value_that_a_format_does_not_hold_is_refused_with_its_tensor() {
        for (wrong, expected) in
            [(1e30, "1 value too large for"), (f32::NAN, "1 value that is NaN")]
        {
            for format in [PackedFormat::F16, PackedFormat::Q8_0] {
                let of_rows =
                    |rows: Range<usize>| Ok::<_, CheckpointError>(vec![wrong; rows.len()]);
                let sentence = pack("m", format, [1, 1], of_rows).unwrap_err().to_string();
                assert!(sentence.contains(expected), "{sentence}");
            }
        }
    }
}
