//! 8-bit matrices: a signed byte per value and a scale per group of 32 values of a row.
//!
//! The arithmetic is that of GGUF's q8_0. In safetensors the codes are stored under the tensor's
//! name as I8, the scales under the same name with the suffix `.scales` as F16 `[rows, groups per
//! row]`.

use std::ops::Range;

use half::f16;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::{Checkpoint, CheckpointError, Range as NumberRange, Refusal};

/// Values per scale; the last group of a row may have fewer.
pub(crate) const GROUP: usize = 32;

/// Quantizes a group: its scale, the largest magnitude divided by 127, and a code in -127..=127 per
/// value.
pub(crate) fn quantize(values: &[f32]) -> (f16, impl Iterator<Item = i8>) {
    let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let codes = values.iter().map(move |value| {
        // Rounds half away from zero. The inverse of a tiny scale is infinite, and so is the
        // product, which numpy converts to 0.
        let rounded = (value * inverse).round();
        if rounded.is_finite() { rounded as i8 } else { 0 }
    });
    (f16::from_f32(scale), codes)
}

/// The name of a tensor's scales.
pub(super) fn scales_name(name: &str) -> String {
    format!("{name}.scales")
}

/// The shape of a tensor's scales.
pub(super) fn scales_shape(shape: &[usize]) -> Vec<usize> {
    let mut scales = shape.to_vec();
    if let Some(n_columns) = scales.last_mut() {
        *n_columns = n_columns.div_ceil(GROUP);
    }
    scales
}

/// The bytes of codes and scales of the matrix `name`, whose rows have `n_columns` values.
///
/// # Errors
/// [`CheckpointError::NotFinite`], or [`CheckpointError::TooLarge`] for a value whose scale
/// overflows f16.
pub(super) fn encode(
    name: &str,
    values: &[f32],
    n_columns: usize,
) -> Result<(Vec<u8>, Vec<u8>), CheckpointError> {
    let (mut codes, mut scales) = (Vec::with_capacity(values.len()), Vec::new());
    for row in values.chunks(n_columns.max(1)) {
        for group in row.chunks(GROUP) {
            let (scale, of_group) = quantize(group);
            if !scale.is_finite() || group.iter().any(|value| value.is_nan()) {
                return Err(Refusal::new("q8_0", NumberRange::ScaleOver(127.0)).of(name, values));
            }
            scales.extend(scale.to_le_bytes());
            codes.extend(of_group.map(i8::cast_unsigned));
        }
    }
    Ok((codes, scales))
}

/// The scales of an 8-bit tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales<'bytes> {
    data: &'bytes [u8],
    /// Values per row of the tensor.
    n_columns: usize,
}

impl<'bytes> Scales<'bytes> {
    /// `None` for a tensor that is not 8-bit.
    ///
    /// # Errors
    /// [`CheckpointError::NoScales`] or [`CheckpointError::Scales`].
    pub(super) fn find(
        checkpoint: &Checkpoint<'bytes>,
        name: &str,
        view: &TensorView<'_>,
    ) -> Result<Option<Self>, CheckpointError> {
        if view.dtype() != Dtype::I8 {
            return Ok(None);
        }
        let scales = checkpoint.tensors().get(&scales_name(name));
        let scales = scales.ok_or_else(|| CheckpointError::NoScales { name: name.to_owned() })?;
        let expected = scales_shape(view.shape());
        if scales.dtype() != Dtype::F16 || scales.shape() != expected {
            return Err(CheckpointError::Scales {
                name: scales_name(name),
                dtype: scales.dtype(),
                found: scales.shape().to_vec(),
                expected,
            });
        }
        let n_columns = view.shape().last().copied().unwrap_or(1).max(1);
        Ok(Some(Self { data: scales.data(), n_columns }))
    }

    pub(super) fn data(&self) -> &'bytes [u8] {
        self.data
    }

    /// Writes a row as blocks, each a scale and its codes, which are `codes`.
    ///
    /// # Errors
    /// As [`Scales::decode`].
    pub(super) fn interleave(
        &self,
        name: &str,
        row: usize,
        codes: &[u8],
        blocks: &mut [u8],
    ) -> Result<(), CheckpointError> {
        let first = row * self.n_columns.div_ceil(GROUP);
        let blocks = blocks.chunks_exact_mut(2 + GROUP);
        for (number, (group, block)) in codes.chunks(GROUP).zip(blocks).enumerate() {
            let scale = self.scale(name, first + number)?;
            block[..2].copy_from_slice(&scale.to_le_bytes());
            block[2..2 + group.len()].copy_from_slice(group);
        }
        Ok(())
    }

    fn scale(&self, name: &str, number: usize) -> Result<f16, CheckpointError> {
        let scale = f16::from_le_bytes(self.data.as_chunks().0[number]);
        if scale.is_finite() && scale >= f16::ZERO {
            return Ok(scale);
        }
        Err(CheckpointError::Scale { name: scales_name(name), number, found: scale.to_f32() })
    }

    /// Decodes the values with the row-major indices `range`, whose codes are `codes`.
    ///
    /// # Errors
    /// [`CheckpointError::Scale`] for a negative or non-finite scale.
    pub(super) fn decode(
        &self,
        name: &str,
        range: Range<usize>,
        codes: &[u8],
    ) -> Result<Vec<f32>, CheckpointError> {
        let groups_per_row = self.n_columns.div_ceil(GROUP);
        let mut values = Vec::with_capacity(codes.len());
        let (mut index, mut rest) = (range.start, codes);
        while !rest.is_empty() {
            let (row, column) = (index / self.n_columns, index % self.n_columns);
            let end = (column / GROUP * GROUP + GROUP).min(self.n_columns);
            let (group, after) = rest.split_at(rest.len().min(end - column));
            let number = row * groups_per_row + column / GROUP;
            let scale = self.scale(name, number)?.to_f32();
            values.extend(group.iter().map(|code| scale * f32::from(code.cast_signed())));
            index += group.len();
            rest = after;
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::serialize;

    use super::*;

    /// A file with an 8-bit matrix `[rows, columns]`.
    fn file(
        codes: &[u8],
        shape: [usize; 2],
        scales: Option<(Dtype, Vec<usize>, &[u8])>,
    ) -> Vec<u8> {
        let codes = TensorView::new(Dtype::I8, shape.to_vec(), codes).unwrap();
        let scales = scales.map(|(dtype, shape, bytes)| {
            ("m.scales", TensorView::new(dtype, shape, bytes).unwrap())
        });
        serialize([("m", codes)].into_iter().chain(scales), None).unwrap()
    }

    fn read(file: &[u8], range: Range<usize>) -> Result<Vec<f32>, CheckpointError> {
        let checkpoint = Checkpoint::parse([("file".to_owned(), file)])?;
        let view = checkpoint.tensor("m")?;
        let scales = Scales::find(&checkpoint, "m", view)?.expect("an 8-bit tensor");
        scales.decode("m", range.clone(), &view.data()[range])
    }

    proptest! {
        #[test]
        fn a_value_comes_back_to_within_half_a_step(
            n_columns in 1..100_usize,
            values in prop::collection::vec((-1.0..1.0_f32, -8..4_i32), 1..300),
        ) {
            let values: Vec<f32> =
                values.into_iter().map(|(value, power)| value * 10.0_f32.powi(power)).collect();
            let n_rows = values.len() / n_columns;
            let values = &values[..n_rows * n_columns];
            let (codes, scales) = encode("m", values, n_columns).unwrap();
            let shape = [n_rows, n_columns];
            let file = file(&codes, shape, Some((Dtype::F16, scales_shape(&shape), &scales)));
            let found = read(&file, 0..values.len()).unwrap();
            for (row, found) in values.chunks(n_columns).zip(found.chunks(n_columns)) {
                for (group, found) in row.chunks(GROUP).zip(found.chunks(GROUP)) {
                    let largest = group.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                    // Half a step, plus 127 times the rounding error of the scale in f16.
                    let step = largest / 127.0;
                    let bound = 0.5001 * step + 127.0 * (step / 2048.0).max(3e-8);
                    for (value, found) in group.iter().zip(found) {
                        prop_assert!((value - found).abs() <= bound, "{value}, {found}, {step}");
                    }
                }
            }
            // Any range decodes as in the whole.
            let (start, end) = (values.len() / 3, values.len() - values.len() / 4);
            prop_assert_eq!(&read(&file, start..end).unwrap()[..], &found[start..end]);
        }
    }

    #[test]
    fn scales_that_are_missing_or_of_another_shape_are_named() {
        let sentence = |scales: Option<(Dtype, Vec<usize>, &[u8])>| {
            read(&file(&[1; 80], [2, 40], scales), 0..80).unwrap_err().to_string()
        };
        let missing = sentence(None);
        assert!(missing.contains("\"m.scales\" is missing"), "{missing}");
        let zeros = [0; 16];
        for (dtype, shape, n_bytes) in
            [(Dtype::F16, vec![4], 8), (Dtype::F32, vec![2, 2], 16), (Dtype::F16, vec![2, 3], 12)]
        {
            let unfit = sentence(Some((dtype, shape, &zeros[..n_bytes])));
            assert!(unfit.contains("expected F16 of shape [2, 2]"), "{unfit}");
        }
    }

    #[test]
    fn a_scale_is_finite_and_not_negative() {
        for wrong in [f16::NAN, f16::INFINITY, f16::from_f32(-0.5)] {
            let scales = [f16::ONE, f16::ONE, wrong, f16::ONE].map(f16::to_le_bytes).concat();
            let file = file(&[1; 80], [2, 40], Some((Dtype::F16, vec![2, 2], &scales)));
            assert_eq!(read(&file, 0..40).unwrap(), [1.0; 40]);
            let sentence = read(&file, 0..80).unwrap_err().to_string();
            assert!(sentence.starts_with("element 2 of tensor \"m.scales\" is "), "{sentence}");
        }
    }

    #[test]
    fn a_value_beyond_the_largest_scale_is_refused_with_its_tensor() {
        for wrong in [f32::NAN, f32::INFINITY] {
            let sentence = encode("m", &[0.5, wrong], 2).unwrap_err().to_string();
            assert!(sentence.contains("\"m\" holds 1 value that is NaN"), "{sentence}");
        }
        let sentence = encode("m", &[0.5, -3e7], 2).unwrap_err().to_string();
        assert!(sentence.contains("\"m\" holds 1 value too large for q8_0 (of 2)"), "{sentence}");
        assert!(sentence.contains("3e7") && sentence.contains("8.319"), "{sentence}");
        assert!(encode("m", &[0.5, 1e6], 2).is_ok());
    }
}
