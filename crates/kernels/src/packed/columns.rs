//! Products of matrices of f32: as burn has them, a row for each input, and as packed ones, a row for
//! each output.

use super::Baseline;
use super::few::{self, Rows};
use super::isa::{Isa, STEP};
use super::rows::{self, AHEAD, Stored, TOGETHER};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use crate::team::{SHARED_BYTES, n_threads, share};

/// Streams in which a matrix is read: several are faster than one.
const N_STREAMS: usize = 4;

/// Parts of a matrix whose sums are added at the end: threads that read whole rows read memory up to
/// twice as fast as threads that share the columns of each row.
const N_PARTS: usize = 4;

/// `y = x · w`: `w` has a row of `y.len()` numbers for each of `x`. Sums are the same for any number of
/// threads.
pub fn times_rows(x: &[f32], w: &[f32], y: &mut [f32]) {
    few_times_rows(1, x, w, y);
}

/// As [`times_rows`], for `n_vectors` in `x` one after another, and as many in `y`: the weights are read
/// from memory once for all, and each product has the bits that it has alone.
#[inline(never)]
pub fn few_times_rows(n_vectors: usize, x: &[f32], w: &[f32], y: &mut [f32]) {
    in_parts(n_vectors, x, w, y, |x, w, y| {
        // SAFETY: `w` has a row for each number of a vector, with as many numbers as `y.n`; the
        // processor is asked for the instructions.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if Avx512::is_there() {
                return with_avx512(x, w, y);
            } else if Avx2::is_there() {
                return with_avx2(x, w, y);
            }
            columns::<Baseline>(x, w, y);
        }
    });
}

/// Some numbers of each vector.
#[derive(Clone, Copy)]
struct Vectors<'a> {
    numbers: &'a [f32],
    /// Numbers from the start of a vector to that of the next.
    stride: usize,
    /// Those that count.
    n: usize,
}

/// Rows of numbers that begin `width` apart.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    numbers: &'a [f32],
    width: usize,
}

/// Some columns of the products, a row for each vector.
struct Columns<'a> {
    sums: &'a mut [f32],
    stride: usize,
    n: usize,
}

/// Calls `times` with parts of the vectors, the rows of `w` for each from some column on, and the sums for
/// some columns.
#[inline(always)]
fn in_parts(
    n_vectors: usize,
    x: &[f32],
    w: &[f32],
    y: &mut [f32],
    times: impl Fn(Vectors<'_>, Matrix<'_>, Columns<'_>) + Sync,
) {
    let n_vectors = n_vectors.max(1);
    let [depth, width] = [x.len(), y.len()].map(|n| n / n_vectors);
    let lengths = [n_vectors * depth, n_vectors * width, depth * width];
    assert_eq!([x.len(), y.len(), w.len()], lengths, "a row for each input");
    let per_part = depth / N_PARTS;
    if width == 0 {
        return;
    }
    if per_part < N_STREAMS {
        let x = Vectors { numbers: x, stride: depth, n: depth };
        return times(
            x,
            Matrix { numbers: w, width },
            Columns { sums: y, stride: width, n: width },
        );
    }
    // More threads than parts share the columns of each, too.
    let n_blocks = if n_threads() <= N_PARTS { 1 } else { n_threads() };
    let smallest = (SHARED_BYTES / (4 * per_part)).max(1).next_multiple_of(STEP);
    let per_block = width.div_ceil(n_blocks).next_multiple_of(STEP).max(smallest).min(width);
    let n_blocks = width.div_ceil(per_block);
    let per_sums = n_vectors * per_block;
    let mut sums = vec![0.0; N_PARTS * n_blocks * per_sums];
    let smallest = SHARED_BYTES / (4 * per_part) * n_vectors;
    share(&mut sums, per_sums, smallest, |first, sums| {
        for (index, sums) in sums.chunks_exact_mut(per_sums).enumerate() {
            let index = first / per_sums + index;
            let (part, column) = (index / n_blocks, index % n_blocks * per_block);
            let end = if part + 1 == N_PARTS { depth } else { (part + 1) * per_part };
            let rows = part * per_part..end;
            let n = per_block.min(width - column);
            let x = Vectors { numbers: &x[rows.start..], stride: depth, n: rows.len() };
            let w = Matrix { numbers: &w[rows.start * width + column..rows.end * width], width };
            times(x, w, Columns { sums, stride: per_block, n });
        }
    });
    let of_part = n_blocks * per_sums;
    for (vector, y) in y.chunks_exact_mut(width).enumerate() {
        for (block, y) in y.chunks_mut(per_block).enumerate() {
            let first = block * per_sums + vector * per_block;
            let [a, b, c, d]: [&[f32]; N_PARTS] =
                std::array::from_fn(|part| &sums[part * of_part + first..][..y.len()]);
            for (column, y) in y.iter_mut().enumerate() {
                *y = (a[column] + b[column]) + (c[column] + d[column]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
unsafe fn with_avx512(x: Vectors<'_>, w: Matrix<'_>, y: Columns<'_>) {
    // SAFETY: by the caller.
    unsafe { columns::<Avx512>(x, w, y) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn with_avx2(x: Vectors<'_>, w: Matrix<'_>, y: Columns<'_>) {
    // SAFETY: by the caller.
    unsafe { columns::<Avx2>(x, w, y) }
}

/// # Safety
/// As for [`Isa`]; `w` has a row for each number of a vector, and in it as many numbers as `y.n`.
#[inline(always)]
unsafe fn columns<I: Isa>(x: Vectors<'_>, w: Matrix<'_>, y: Columns<'_>) {
    let Columns { sums, stride, n } = y;
    sums.fill(0.0);
    // Each stream goes through a quarter of the rows, without gaps.
    let n_together = x.n / N_STREAMS;
    // Where in a stream what is read in `AHEAD` bytes will be.
    let n_ahead = (AHEAD / 4 / N_STREAMS).div_ceil(n.max(1)) * w.width;
    let n_at_once = if I::HAS_MANY_REGISTERS { 4 } else { 2 };
    for index in 0..n_together {
        let row = |stream: usize| stream * n_together + index;
        let w: [_; N_STREAMS] =
            std::array::from_fn(|stream| w.numbers[row(stream) * w.width..].as_ptr());
        // What the first vectors have read is in the cache for the others.
        for (group, y) in sums.chunks_mut(n_at_once * stride).enumerate() {
            let x = |vector: usize| {
                let x = &x.numbers[(group * n_at_once + vector) * x.stride..][..x.n];
                std::array::from_fn(|stream| x[row(stream)])
            };
            let from = Lanes { w, n_ahead: if group == 0 { n_ahead } else { 0 }, n };
            // SAFETY: by the caller.
            unsafe {
                match y.len() / stride {
                    1 => from.add_to::<I, 1>(x, y, stride),
                    2 => from.add_to::<I, 2>(x, y, stride),
                    3 => from.add_to::<I, 3>(x, y, stride),
                    _ => from.add_to::<I, 4>(x, y, stride),
                }
            }
        }
    }
    for row in N_STREAMS * n_together..x.n {
        let from = Lanes { w: [w.numbers[row * w.width..].as_ptr()], n_ahead, n };
        for (vector, y) in sums.chunks_exact_mut(stride).enumerate() {
            let x = [x.numbers[vector * x.stride + row]];
            // SAFETY: by the caller.
            unsafe { from.add_to::<I, 1>(|_| x, y, stride) };
        }
    }
}

/// Rows that are added at the same time, `n` numbers of each.
struct Lanes<const N: usize> {
    w: [*const f32; N],
    /// Numbers from what is read to what is asked for; 0 if it was asked for before.
    n_ahead: usize,
    n: usize,
}

impl<const N: usize> Lanes<N> {
    /// Adds them to rows of `y`, each time as often as `x` has it.
    ///
    /// # Safety
    /// As for [`columns`].
    #[inline(always)]
    unsafe fn add_to<I: Isa, const V: usize>(
        &self,
        x: impl Fn(usize) -> [f32; N],
        y: &mut [f32],
        stride: usize,
    ) {
        let n_whole = self.n - self.n % I::LANES;
        let x: [[f32; N]; V] = std::array::from_fn(x);
        let y: [*mut f32; V] = std::array::from_fn(|vector| y[vector * stride..].as_mut_ptr());
        // SAFETY: by the caller.
        unsafe {
            let factors = x.map(|x| x.map(|x| I::splat(x)));
            for start in (0..n_whole).step_by(I::LANES) {
                let w = self.w.map(|w| {
                    if self.n_ahead > 0 {
                        I::prefetch(w.add(start).wrapping_add(self.n_ahead).cast());
                    }
                    I::f32(w.add(start).cast())
                });
                for (factors, y) in factors.iter().zip(y) {
                    let products: [I::Vector; N] =
                        std::array::from_fn(|row| I::mul(factors[row], w[row]));
                    let y = y.add(start);
                    I::store(I::add(I::f32(y.cast()), pairwise(products, |a, b| I::add(a, b))), y);
                }
            }
            for index in n_whole..self.n {
                for (x, y) in x.iter().zip(y) {
                    let products: [f32; N] =
                        std::array::from_fn(|row| x[row] * *self.w[row].add(index));
                    *y.add(index) += pairwise(products, |a, b| a + b);
                }
            }
        }
    }
}

/// The sum of one or four terms.
#[inline(always)]
fn pairwise<T: Copy, const N: usize>(terms: [T; N], add: impl Fn(T, T) -> T) -> T {
    match *terms.as_slice() {
        [a, b, c, d] => add(add(a, b), add(c, d)),
        _ => terms[0],
    }
}

/// As [`times_columns`], for `n_vectors` in `x` one after another, and as many in `y`: the weights are
/// read from memory once for all, and each product has the bits that it has alone.
pub fn few_times_columns(n_vectors: usize, x: &[f32], w: &[f32], y: &mut [f32]) {
    let n_vectors = n_vectors.max(1);
    let [width, n_rows] = [x.len(), y.len()].map(|n| n / n_vectors);
    if n_vectors > 1 && width > 0 && width.is_multiple_of(STEP) {
        assert_eq!(w.len(), n_rows * width, "a row for each output");
        let rows = Rows { stored: Stored::F32, bytes: bytes(w), stride: 4 * width };
        return few::times_few(x, width, rows, n_rows, y);
    }
    if width == 0 {
        return y.fill(0.0);
    }
    let pairs = x.chunks_exact(width).zip(y.chunks_exact_mut(n_rows.max(1)));
    pairs.for_each(|(x, y)| times_columns(x, w, y));
}

fn bytes(numbers: &[f32]) -> &[u8] {
    // SAFETY: every f32 is four bytes.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast::<u8>(), size_of_val(numbers)) }
}

/// `y = w · x`: `w` has a row of `x.len()` numbers for each of `y`.
#[inline(never)]
pub fn times_columns(x: &[f32], w: &[f32], y: &mut [f32]) {
    let width = x.len();
    assert_eq!(w.len(), y.len() * width, "a row for each output");
    let whole = &x[..width - width % STEP];
    let bytes = bytes(w);
    share(y, TOGETHER, SHARED_BYTES / (4 * width.max(1)), |first, y| {
        rows::times(Stored::F32, whole, &bytes[4 * first * width..], 4 * width, y);
        if whole.len() == width {
            return;
        }
        let w = w[first * width..].chunks_exact(width);
        for (y, w) in y.iter_mut().zip(w) {
            *y += crate::dot(&x[whole.len()..], &w[whole.len()..]);
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::portable::Portable;
    use super::*;
    use crate::train::testing::numbers;

    proptest! {
        #[test]
        fn a_row_times_a_matrix_is_what_it_is(d_input in 0..70usize, d_output in 0..70usize) {
            let (x, w) = (numbers(d_input, 7), numbers(d_input * d_output, 3));
            let mut y = vec![f32::NAN; d_output];
            crate::together(|| times_rows(&x, &w, &mut y));
            for (column, y) in y.iter().enumerate() {
                let wanted: f32 = (0..d_input).map(|row| x[row] * w[row * d_output + column]).sum();
                prop_assert!((y - wanted).abs() < 1e-4);
            }
            let mut z = vec![f32::NAN; d_output];
            crate::together(|| times_columns(&x, &w, &mut z));
            for (row, z) in z.iter().enumerate() {
                let wanted: f32 = (0..d_input).map(|index| x[index] * w[row * d_input + index]).sum();
                prop_assert!((z - wanted).abs() < 1e-4);
            }
        }

        #[test]
        fn all_instructions_give_the_same_bits(d_input in 0..70usize, d_output in 1..70usize) {
            let (x, w) = (numbers(d_input, 7), numbers(d_input * d_output, 3));
            let mut y = vec![f32::NAN; d_output];
            times_rows(&x, &w, &mut y);
            let mut plain = vec![f32::NAN; d_output];
            // SAFETY: the lengths fit, and no instructions are asked for.
            in_parts(1, &x, &w, &mut plain, |x, w, y| unsafe {
                columns::<Portable>(x, w, y);
            });
            prop_assert_eq!(y, plain);
        }

        #[test]
        fn a_product_has_the_same_bits_beside_others(
            (n_vectors, d_input, d_output) in (1..7usize, 0..100usize, 1..100usize),
        ) {
            let (x, w) = (numbers(n_vectors * d_input, 7), numbers(d_input * d_output, 3));
            let mut all = [(); 2].map(|()| vec![f32::NAN; n_vectors * d_output]);
            let [rows, columns] = &mut all;
            crate::together(|| few_times_rows(n_vectors, &x, &w, rows));
            crate::together(|| few_times_columns(n_vectors, &x, &w, columns));
            for vector in 0..n_vectors {
                let x = &x[vector * d_input..][..d_input];
                let mut alone = vec![f32::NAN; d_output];
                times_rows(x, &w, &mut alone);
                prop_assert_eq!(&alone, &rows[vector * d_output..][..d_output]);
                times_columns(x, &w, &mut alone);
                prop_assert_eq!(&alone, &columns[vector * d_output..][..d_output]);
            }
        }
    }
}
