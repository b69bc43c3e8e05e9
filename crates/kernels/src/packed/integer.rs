//! Products of q8_0 rows in integers, where vectors are short and widening a code takes three
//! instructions: a block of a vector becomes 16-bit integers with a scale, and one instruction
//! multiplies eight of them with eight codes and adds pairs of products.
//!
//! Rounding to 16 bits changes a number by at most 1/65,534 of the largest in its block; sums of a block
//! are exact, since 32 products of 15 and 7 bits fit into an i32.

use super::isa::{Isa, STEP};

/// Rows, or vectors, whose sums share a vector of f32.
const N: usize = 4;

/// Bytes of a block: an f16 as scale, then the codes.
const BLOCK_BYTES: usize = 2 + STEP;

/// Values of a vector of 16-bit integers; divides [`STEP`].
const LANES: usize = 8;

/// The largest code of a rounded vector.
pub(super) const LARGEST: f32 = 32_767.0;

/// Vectors of integers, which become vectors of four f32.
///
/// # Safety
/// As for [`Isa`].
pub(super) trait Integers: Isa {
    /// Eight 16-bit integers.
    type Wide: Copy;
    /// Four 32-bit integers.
    type Sums: Copy;

    /// Writes a block as 16-bit integers and returns their scale: NaN where a number is not finite.
    unsafe fn round(x: *const f32, codes: *mut i16) -> f32;
    /// Eight codes of 8 bits.
    unsafe fn narrow(at: *const u8) -> Self::Wide;
    unsafe fn wide(at: *const i16) -> Self::Wide;
    /// The sums of neighboring products.
    unsafe fn dot(a: Self::Wide, b: Self::Wide) -> Self::Sums;
    unsafe fn plus(a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// The sum of the lanes of each.
    unsafe fn totals(sums: [Self::Sums; N]) -> Self::Vector;
    /// One f16 from each.
    unsafe fn halves(at: [*const u8; N]) -> Self::Vector;
}

/// Vectors as integers with a scale for each block.
struct Rounded {
    codes: Vec<i16>,
    /// Of [`N`] vectors side by side, block after block; then those of the next vectors.
    scales: Vec<f32>,
}

/// Rounds vectors of `width` numbers, whole blocks, in groups of `n` whose scales stand side by side.
///
/// # Safety
/// As for [`Integers`].
#[inline(always)]
unsafe fn round<I: Integers>(x: &[f32], width: usize, n: usize) -> Rounded {
    let n_blocks = width / STEP;
    let mut rounded = Rounded { codes: vec![0; x.len()], scales: vec![0.0; x.len() / STEP] };
    let blocks = x.as_chunks::<STEP>().0.iter().zip(rounded.codes.as_chunks_mut::<STEP>().0);
    for (index, (x, codes)) in blocks.enumerate() {
        let (vector, block) = (index / n_blocks, index % n_blocks);
        let slot = (vector / n * n_blocks + block) * n + vector % n;
        // SAFETY: both are a block.
        rounded.scales[slot] = unsafe { I::round(x.as_ptr(), codes.as_mut_ptr()) };
    }
    rounded
}

/// `y = w · x` for one vector of whole blocks; `w` has a row of `stride` bytes for each of `y`.
///
/// # Panics
/// If `w` is shorter, or `x` is not whole blocks.
#[inline(always)]
pub(super) fn times<I: Integers>(x: &[f32], w: &[u8], stride: usize, y: &mut [f32]) {
    check(x.len(), w, stride, y.len());
    // SAFETY: rows and `x` are as long as the loops go, by the lengths checked.
    unsafe {
        let x = round::<I>(x, x.len(), 1);
        // Rows that are read together are in four quarters: the processor reads ahead in long streams,
        // and neighboring rows are short.
        let n_each = y.len() / N;
        let row = |index: usize| w.as_ptr().add(index * stride);
        for index in 0..n_each {
            let rows = std::array::from_fn(|quarter| row(quarter * n_each + index));
            let found = numbers::<I>(rows_by_vector::<I>(rows, &x));
            for (quarter, found) in found.into_iter().enumerate() {
                y[quarter * n_each + index] = found;
            }
        }
        for (index, y) in y.iter_mut().enumerate().skip(N * n_each) {
            *y = numbers::<I>(rows_by_vector::<I>([row(index); N], &x))[0];
        }
    }
}

/// As [`times`] for four vectors of `width` numbers at a time, rows of `n_rows` numbers in `y`; returns
/// how many vectors were multiplied, a multiple of four.
///
/// # Panics
/// If lengths do not fit together.
#[inline(always)]
pub(super) fn times_fours<I: Integers>(
    x: &[f32],
    width: usize,
    w: &[u8],
    stride: usize,
    [n_rows, n_vectors]: [usize; 2],
    y: &mut [f32],
) -> usize {
    check(width, w, stride, n_rows);
    let n_vectors = n_vectors / N * N;
    assert!(n_vectors * width <= x.len() && n_vectors * n_rows <= y.len(), "as many vectors");
    // SAFETY: rows and `x` are as long as the loops go, by the lengths checked.
    unsafe {
        let x = round::<I>(&x[..n_vectors * width], width, N);
        for row in 0..n_rows {
            let w = w.as_ptr().add(row * stride);
            for first in (0..n_vectors).step_by(N) {
                let found = numbers::<I>(row_by_vectors::<I>(w, &x, first, width / STEP));
                for (vector, found) in found.into_iter().enumerate() {
                    y[(first + vector) * n_rows + row] = found;
                }
            }
        }
    }
    n_vectors
}

fn check(width: usize, w: &[u8], stride: usize, n_rows: usize) {
    let row_bytes = width / STEP * BLOCK_BYTES;
    assert!(width.is_multiple_of(STEP) && row_bytes <= stride, "whole blocks");
    assert!(n_rows == 0 || (n_rows - 1) * stride + row_bytes <= w.len(), "as many rows");
}

/// # Safety
/// As for [`Integers`]; rows have as many blocks as `x`, which is one vector.
#[inline(always)]
unsafe fn rows_by_vector<I: Integers>(rows: [*const u8; N], x: &Rounded) -> I::Vector {
    // SAFETY: by the caller.
    unsafe {
        let mut sum = I::splat(0.0);
        for (block, scale) in x.scales.iter().enumerate() {
            let w = rows.map(|row| row.add(block * BLOCK_BYTES));
            let x = load::<I>(x.codes.as_ptr().add(block * STEP));
            let sums = w.map(|w| products::<I>(codes::<I>(w), x));
            let scales = I::mul(I::halves(w), I::splat(*scale));
            sum = I::add(sum, I::mul(I::totals(sums), scales));
        }
        sum
    }
}

/// # Safety
/// As for [`Integers`]; the row has `n_blocks`, as each of the four vectors of `x` from `first` on.
#[inline(always)]
unsafe fn row_by_vectors<I: Integers>(
    row: *const u8,
    x: &Rounded,
    first: usize,
    n_blocks: usize,
) -> I::Vector {
    // SAFETY: by the caller.
    unsafe {
        let width = n_blocks * STEP;
        let of_x = x.codes.as_ptr().add(first * width);
        let scales = x.scales.as_ptr().add(first * n_blocks);
        let mut sum = I::splat(0.0);
        for block in 0..n_blocks {
            let w = row.add(block * BLOCK_BYTES);
            let codes = codes::<I>(w);
            let sums = std::array::from_fn(|vector| {
                products::<I>(codes, load::<I>(of_x.add(vector * width + block * STEP)))
            });
            let scales = I::mul(I::splat(I::half(w)), I::f32(scales.add(block * N).cast()));
            sum = I::add(sum, I::mul(I::totals(sums), scales));
        }
        sum
    }
}

/// # Safety
/// As for [`Integers`].
#[inline(always)]
unsafe fn numbers<I: Integers>(x: I::Vector) -> [f32; N] {
    let mut numbers = [0.0; N];
    // SAFETY: by the caller; a vector has as many numbers.
    unsafe { I::store(x, numbers.as_mut_ptr()) };
    numbers
}

/// The codes of a block of weights.
///
/// # Safety
/// As for [`Integers`].
#[inline(always)]
unsafe fn codes<I: Integers>(block: *const u8) -> [I::Wide; STEP / LANES] {
    // SAFETY: by the caller.
    std::array::from_fn(|part| unsafe { I::narrow(block.add(2 + part * LANES)) })
}

/// The codes of a block of a vector.
///
/// # Safety
/// As for [`Integers`].
#[inline(always)]
unsafe fn load<I: Integers>(block: *const i16) -> [I::Wide; STEP / LANES] {
    // SAFETY: by the caller.
    std::array::from_fn(|part| unsafe { I::wide(block.add(part * LANES)) })
}

/// The products of two blocks, in four sums.
///
/// # Safety
/// As for [`Integers`].
#[inline(always)]
unsafe fn products<I: Integers>(
    [a, b, c, d]: [I::Wide; STEP / LANES],
    [e, f, g, h]: [I::Wide; STEP / LANES],
) -> I::Sums {
    // SAFETY: by the caller.
    unsafe { I::plus(I::plus(I::dot(a, e), I::dot(b, f)), I::plus(I::dot(c, g), I::dot(d, h))) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::portable::Portable;
    use super::super::rows::Stored;
    use super::super::testing::{stored, values};
    use super::*;
    use crate::train::testing::numbers;

    /// One number after another.
    type Plain = Portable<N>;

    impl Integers for Plain {
        type Wide = [i16; LANES];
        type Sums = [i32; N];

        unsafe fn round(x: *const f32, codes: *mut i16) -> f32 {
            // SAFETY: as for all of them, by the caller.
            let (x, codes) =
                unsafe { (&*x.cast::<[f32; STEP]>(), &mut *codes.cast::<[i16; STEP]>()) };
            let largest = x.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
            for (x, code) in x.iter().zip(codes) {
                *code = if largest > 0.0 {
                    (x / largest * LARGEST).round_ties_even() as i16
                } else {
                    0
                };
            }
            match x.iter().all(|x| x.is_finite()) {
                true => largest / LARGEST,
                false => f32::NAN,
            }
        }

        unsafe fn narrow(at: *const u8) -> [i16; LANES] {
            unsafe { at.cast::<[i8; LANES]>().read() }.map(i16::from)
        }

        unsafe fn wide(at: *const i16) -> [i16; LANES] {
            unsafe { at.cast::<[i16; LANES]>().read() }
        }

        unsafe fn dot(a: [i16; LANES], b: [i16; LANES]) -> [i32; N] {
            let product = |lane: usize| i32::from(a[lane]) * i32::from(b[lane]);
            std::array::from_fn(|lane| product(2 * lane) + product(2 * lane + 1))
        }

        unsafe fn plus(a: [i32; N], b: [i32; N]) -> [i32; N] {
            std::array::from_fn(|lane| a[lane] + b[lane])
        }

        unsafe fn totals(sums: [[i32; N]; N]) -> [f32; N] {
            sums.map(|lanes| lanes.iter().sum::<i32>() as f32)
        }

        unsafe fn halves(at: [*const u8; N]) -> [f32; N] {
            at.map(|at| unsafe { Self::half(at) })
        }
    }

    /// Rows of weights as stored, and as numbers.
    fn rows(n_rows: usize, width: usize, seed: u32) -> (Vec<u8>, Vec<f32>) {
        let bytes = stored(Stored::Q8_0, &numbers(n_rows * width, seed));
        let values = values(Stored::Q8_0, &bytes);
        (bytes, values)
    }

    fn assert_is_product(found: f32, row: &[f32], x: &[f32]) {
        let terms = || row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
        let size: f64 = row.iter().map(|w| f64::from(w.abs())).sum();
        assert!((f64::from(found) - terms().sum::<f64>()).abs() <= 3e-5 * size, "{found}");
    }

    proptest! {
        #[test]
        fn products_in_integers_are_those_of_the_numbers(
            (n_rows, n_blocks) in (0..11_usize, 1..4_usize),
            n_vectors in 0..10_usize,
            seed in any::<u32>(),
        ) {
            let width = n_blocks * STEP;
            let stride = n_blocks * BLOCK_BYTES;
            let (w, decoded) = rows(n_rows, width, seed);
            let x = numbers(n_vectors * width, !seed);
            let mut y = vec![f32::NAN; n_vectors * n_rows];
            let n = times_fours::<Plain>(&x, width, &w, stride, [n_rows, n_vectors], &mut y);
            prop_assert_eq!(n, n_vectors / N * N);
            for vector in n..n_vectors {
                let y = &mut y[vector * n_rows..][..n_rows];
                times::<Plain>(&x[vector * width..][..width], &w, stride, y);
            }
            for (index, found) in y.iter().enumerate() {
                let (vector, row) = (index / n_rows, index % n_rows);
                assert_is_product(*found, &decoded[row * width..][..width], &x[vector * width..][..width]);
            }
        }
    }

    #[test]
    fn a_number_that_is_not_finite_is_seen_in_the_product() {
        let (w, _) = rows(5, STEP, 1);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = numbers(STEP, 2);
            x[7] = bad;
            let mut y = vec![0.0; 5];
            times::<Plain>(&x, &w, BLOCK_BYTES, &mut y);
            assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
        }
    }

    #[test]
    fn a_vector_of_zeros_gives_zeros() {
        let (w, _) = rows(4, STEP, 1);
        let mut y = vec![f32::NAN; 4];
        times::<Plain>(&[0.0; STEP], &w, BLOCK_BYTES, &mut y);
        assert_eq!(y, [0.0; 4]);
    }
}
