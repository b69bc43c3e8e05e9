//! Products of matrices of f32: as burn has them, a row for each input, and as packed ones, a row for
//! each output.

use super::Baseline;
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
#[inline(never)]
pub fn times_rows(x: &[f32], w: &[f32], y: &mut [f32]) {
    in_parts(x, w, y, |x, w, width, y| {
        // SAFETY: `w` has a row of `width` numbers for each of `x`, of which its first are as many as
        // `y` has; the processor is asked for the instructions.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if Avx512::is_there() {
                return with_avx512(x, w, width, y);
            } else if Avx2::is_there() {
                return with_avx2(x, w, width, y);
            }
            columns::<Baseline>(x, w, width, y);
        }
    });
}

/// Calls `times` with parts of `x`, the rows of `w` for each from some column on, the width of these
/// rows, and as many sums as columns are wanted.
#[inline(always)]
fn in_parts(
    x: &[f32],
    w: &[f32],
    y: &mut [f32],
    times: impl Fn(&[f32], &[f32], usize, &mut [f32]) + Sync,
) {
    let width = y.len();
    assert_eq!(w.len(), x.len() * width, "a row for each input");
    let per_part = x.len() / N_PARTS;
    if width == 0 || per_part < N_STREAMS {
        return times(x, w, width, y);
    }
    let mut sums = vec![0.0; N_PARTS * width];
    // More threads than parts share the columns of each, too.
    let whole = if n_threads() <= N_PARTS { width } else { STEP };
    let smallest = whole.max(SHARED_BYTES / (4 * per_part));
    share(&mut sums, whole, smallest, |first, mut sums| {
        let mut column = first % width;
        for part in first / width..N_PARTS {
            let n = sums.len().min(width - column);
            let end = if part + 1 == N_PARTS { x.len() } else { (part + 1) * per_part };
            let rows = part * per_part..end;
            let (now, later) = sums.split_at_mut(n);
            times(&x[rows.clone()], &w[rows.start * width + column..rows.end * width], width, now);
            (sums, column) = (later, 0);
            if sums.is_empty() {
                break;
            }
        }
    });
    let mut parts = sums.chunks_exact(width);
    let [Some(a), Some(b), Some(c), Some(d)] = std::array::from_fn(|_| parts.next()) else {
        return;
    };
    for (column, y) in y.iter_mut().enumerate() {
        *y = (a[column] + b[column]) + (c[column] + d[column]);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
unsafe fn with_avx512(x: &[f32], w: &[f32], width: usize, y: &mut [f32]) {
    // SAFETY: by the caller.
    unsafe { columns::<Avx512>(x, w, width, y) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn with_avx2(x: &[f32], w: &[f32], width: usize, y: &mut [f32]) {
    // SAFETY: by the caller.
    unsafe { columns::<Avx2>(x, w, width, y) }
}

/// # Safety
/// As for [`Isa`]; rows of `w` begin `width` numbers apart, and have as many numbers as `y`.
#[inline(always)]
unsafe fn columns<I: Isa>(x: &[f32], w: &[f32], width: usize, y: &mut [f32]) {
    y.fill(0.0);
    // Each stream goes through a quarter of the rows, without gaps.
    let n_together = x.len() / N_STREAMS;
    // Where in a stream what is read in `AHEAD` bytes will be.
    let n_ahead = (AHEAD / 4 / N_STREAMS).div_ceil(y.len().max(1)) * width;
    for index in 0..n_together {
        let row = |stream: usize| stream * n_together + index;
        let x = std::array::from_fn(|stream| x[row(stream)]);
        let w = std::array::from_fn(|stream| w[row(stream) * width..].as_ptr());
        // SAFETY: by the caller.
        unsafe { add_rows::<I, N_STREAMS>(x, w, n_ahead, y) };
    }
    for row in N_STREAMS * n_together..x.len() {
        // SAFETY: by the caller.
        unsafe { add_rows::<I, 1>([x[row]], [w[row * width..].as_ptr()], n_ahead, y) };
    }
}

/// # Safety
/// As for [`columns`].
#[inline(always)]
unsafe fn add_rows<I: Isa, const N: usize>(
    x: [f32; N],
    w: [*const f32; N],
    n_ahead: usize,
    y: &mut [f32],
) {
    let n = y.len();
    let (to, n_whole) = (y.as_mut_ptr(), n - n % I::LANES);
    // SAFETY: by the caller.
    unsafe {
        let factors = x.map(|x| I::splat(x));
        for start in (0..n_whole).step_by(I::LANES) {
            let products: [I::Vector; N] = std::array::from_fn(|row| {
                let w = w[row].add(start);
                I::prefetch(w.wrapping_add(n_ahead).cast());
                I::mul(factors[row], I::f32(w.cast()))
            });
            let to = to.add(start);
            I::store(I::add(I::f32(to.cast()), pairwise(products, |a, b| I::add(a, b))), to);
        }
        for index in n_whole..n {
            let products: [f32; N] = std::array::from_fn(|row| x[row] * *w[row].add(index));
            *to.add(index) += pairwise(products, |a, b| a + b);
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

/// `y = w · x`: `w` has a row of `x.len()` numbers for each of `y`.
#[inline(never)]
pub fn times_columns(x: &[f32], w: &[f32], y: &mut [f32]) {
    let width = x.len();
    assert_eq!(w.len(), y.len() * width, "a row for each output");
    let whole = &x[..width - width % STEP];
    // SAFETY: every f32 is four bytes.
    let bytes = unsafe { std::slice::from_raw_parts(w.as_ptr().cast::<u8>(), size_of_val(w)) };
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
            in_parts(&x, &w, &mut plain, |x, w, width, y| unsafe {
                columns::<Portable>(x, w, width, y);
            });
            prop_assert_eq!(y, plain);
        }
    }
}
