//! The inner loops of decoding, over slices of f32.
//!
//! A crate of its own so that it is compiled for speed where everything else is compiled for size.
//! None of its loops is inlined: in a caller that is compiled for size they would be, too.

mod blocks;
mod exp;
mod packed;
mod team;
pub mod train;

pub use packed::{
    PackedFormat, PackedMatrix, few_times_columns, few_times_rows, times_columns, times_rows,
};
pub use team::{share_rows, together};

/// Parallel sums, as wide as a vector register or a multiple of it.
const N_LANES: usize = 8;

/// The sum of the products.
#[inline(never)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<N_LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<N_LANES>();
    let mut sums = [0.0; N_LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..N_LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| a * b);
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}

/// Subtracts the mean.
#[inline(never)]
pub fn center(row: &mut [f32]) {
    let mean = row.iter().sum::<f32>() / row.len() as f32;
    for value in row {
        *value -= mean;
    }
}

/// `epsilon` is added to the mean square, so that a row of zeros is not divided by zero.
#[inline(never)]
pub fn divide_by_root_mean_square(row: &mut [f32], epsilon: f32) {
    let root = (dot(row, row) / row.len() as f32 + epsilon).sqrt();
    for value in row {
        *value /= root;
    }
}

/// Rotates each number of the first half together with its match in the second half.
#[inline(never)]
pub fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let half = head.len() / 2;
    for first in 0..half {
        let second = first + half;
        let (a, b) = (head[first], head[second]);
        head[first] = a * cos[first] - b * sin[first];
        head[second] = b * cos[second] + a * sin[second];
    }
}

/// Softmax.
#[inline(never)]
pub fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = (*value - largest).exp();
        sum += *value;
    }
    for value in row {
        *value /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|index| (index as f32 * step).sin()).collect()
    }

    #[test]
    fn what_a_softmax_gives_sums_to_one() {
        let mut row = numbers(9, 1.3);
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(row.iter().all(|&share| share > 0.0));
    }
}
