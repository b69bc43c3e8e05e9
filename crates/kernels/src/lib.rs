//! The inner loops of decoding, over slices of f32.
//!
//! A crate of its own so that it is compiled for speed where everything else is compiled for size.
//! It has only loops that the compiler vectorizes. None of them is inlined: in a caller that is
//! compiled for size they would be, too.

mod blocks;
mod exp;
pub mod train;

/// Streams in which a matrix is read: several are faster than one.
const N_STREAMS: usize = 4;

/// Parallel sums, as wide as a vector register or a multiple of it.
const N_LANES: usize = 8;

/// `y = x · w`: `w` has a row of `y.len()` numbers for each of `x`.
#[inline(never)]
pub fn times_rows(x: &[f32], w: &[f32], y: &mut [f32]) {
    let width = y.len();
    y.fill(0.0);
    // Each stream goes through a quarter of the rows, without gaps.
    let n_together = x.len() / N_STREAMS;
    let stream = |number: usize| {
        let rows = number * n_together..(number + 1) * n_together;
        let w = &w[rows.start * width..rows.end * width];
        x[rows].iter().zip(w.chunks_exact(width.max(1)))
    };
    let streams = stream(0).zip(stream(1)).zip(stream(2)).zip(stream(3));
    for ((((x0, w0), (x1, w1)), (x2, w2)), (x3, w3)) in streams {
        let row = w0.iter().zip(w1).zip(w2).zip(w3);
        for (y, (((w0, w1), w2), w3)) in y.iter_mut().zip(row) {
            *y += (x0 * w0 + x1 * w1) + (x2 * w2 + x3 * w3);
        }
    }
    let rest = N_STREAMS * n_together;
    for (x, w) in x[rest..].iter().zip(w[rest * width..].chunks_exact(width.max(1))) {
        for (y, w) in y.iter_mut().zip(w) {
            *y += x * w;
        }
    }
}

/// `y = w · x`: `w` has a row of `x.len()` numbers for each of `y`.
#[inline(never)]
pub fn times_columns(x: &[f32], w: &[f32], y: &mut [f32]) {
    let width = x.len();
    let n_together = y.len() / N_STREAMS;
    let row = |index: usize| &w[index * width..(index + 1) * width];
    for index in 0..n_together {
        let rows: [&[f32]; N_STREAMS] =
            std::array::from_fn(|stream| row(stream * n_together + index));
        for (stream, sum) in dots(x, rows).into_iter().enumerate() {
            y[stream * n_together + index] = sum;
        }
    }
    for (index, y) in y.iter_mut().enumerate().skip(N_STREAMS * n_together) {
        *y = dot(x, row(index));
    }
}

/// The products of `x` with several rows, read together.
fn dots(x: &[f32], rows: [&[f32]; N_STREAMS]) -> [f32; N_STREAMS] {
    // The streams already give enough independent sums.
    const N_LANES: usize = 4;
    let mut sums = [[0.0; N_LANES]; N_STREAMS];
    let (chunks, rest) = x.as_chunks::<N_LANES>();
    let rows_in_chunks = rows.map(|row| row[..x.len()].as_chunks::<N_LANES>().0);
    for (index, x) in chunks.iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(&rows_in_chunks) {
            let row = &row[index];
            for lane in 0..N_LANES {
                sums[lane] += x[lane] * row[lane];
            }
        }
    }
    let start = x.len() - rest.len();
    std::array::from_fn(|stream| {
        let rest = rest.iter().zip(&rows[stream][start..]);
        sums[stream].iter().sum::<f32>() + rest.map(|(x, w)| x * w).sum::<f32>()
    })
}

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
    use proptest::prelude::*;

    use super::*;

    fn numbers(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|index| (index as f32 * step).sin()).collect()
    }

    proptest! {
        #[test]
        fn a_row_times_a_matrix_is_what_it_is(d_input in 0..23usize, d_output in 0..23usize) {
            let (x, w) = (numbers(d_input, 0.7), numbers(d_input * d_output, 0.3));
            let mut y = vec![f32::NAN; d_output];
            times_rows(&x, &w, &mut y);
            for (column, y) in y.iter().enumerate() {
                let wanted: f32 = (0..d_input).map(|row| x[row] * w[row * d_output + column]).sum();
                prop_assert!((y - wanted).abs() < 1e-5);
            }
            let mut z = vec![f32::NAN; d_output];
            times_columns(&x, &w, &mut z);
            for (row, z) in z.iter().enumerate() {
                let wanted: f32 = (0..d_input).map(|index| x[index] * w[row * d_input + index]).sum();
                prop_assert!((z - wanted).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn what_a_softmax_gives_sums_to_one() {
        let mut row = numbers(9, 1.3);
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(row.iter().all(|&share| share > 0.0));
    }
}
