//! Products of packed rows with a vector, in the widest vectors of the processor.

use super::Baseline;
use super::isa::{Isa, STEP};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};

/// How the values of a row are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    F32,
    F16,
    Bf16,
    /// Blocks of 32: an f16, by which 32 i8 are multiplied.
    Q8_0,
}

impl Stored {
    /// Bytes of [`STEP`] values.
    pub(super) fn step_bytes(self) -> usize {
        match self {
            Self::F32 => F32::BYTES,
            Self::F16 => F16::BYTES,
            Self::Bf16 => Bf16::BYTES,
            Self::Q8_0 => Q8_0::BYTES,
        }
    }
}

/// `y = w · x`: `w` has a row of `stride` bytes for each of `y`; as many steps of it count as `x` has.
///
/// # Panics
/// If `w` is shorter, or `x` is not whole steps.
#[inline(never)]
pub(super) fn times(stored: Stored, x: &[f32], w: &[u8], stride: usize, y: &mut [f32]) {
    let row_bytes = x.len() / STEP * stored.step_bytes();
    assert!(x.len().is_multiple_of(STEP) && row_bytes <= stride, "whole steps");
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    if stored == Stored::Q8_0 {
        return super::integer::times::<Baseline>(x, w, stride, y);
    }
    assert!(y.is_empty() || (y.len() - 1) * stride + row_bytes <= w.len(), "as many rows");
    // SAFETY: rows and `x` are as long as the loops go, by the lengths above, and a function for some
    // instructions is called only where the processor has them.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if Avx512::is_there() {
            return with_avx512(stored, x, w, stride, y);
        } else if Avx2::is_there() {
            return with_avx2(stored, x, w, stride, y);
        }
        all_rows::<Baseline>(stored, x, w, stride, y);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
unsafe fn with_avx512(stored: Stored, x: &[f32], w: &[u8], stride: usize, y: &mut [f32]) {
    // SAFETY: by the caller.
    unsafe { all_rows::<Avx512>(stored, x, w, stride, y) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn with_avx2(stored: Stored, x: &[f32], w: &[u8], stride: usize, y: &mut [f32]) {
    // SAFETY: by the caller.
    unsafe { all_rows::<Avx2>(stored, x, w, stride, y) }
}

/// # Safety
/// As for [`Isa`]; `w` has `y.len()` rows, each of as many steps as `x`.
#[inline(always)]
unsafe fn all_rows<I: Isa>(stored: Stored, x: &[f32], w: &[u8], stride: usize, y: &mut [f32]) {
    // SAFETY: by the caller.
    unsafe {
        match stored {
            Stored::F32 => rows::<I, F32>(x, w, stride, y),
            Stored::F16 => rows::<I, F16>(x, w, stride, y),
            Stored::Bf16 => rows::<I, Bf16>(x, w, stride, y),
            Stored::Q8_0 => rows::<I, Q8_0>(x, w, stride, y),
        }
    }
}

/// Bytes between what is read and what is fetched into the cache: with fewer the memory is waited for,
/// with more the cache no longer has what was fetched. Processors that look ahead themselves stop at the
/// end of a page.
pub(super) const AHEAD: usize = 12 << 10;

/// Rows that are read together: each number of `x` is loaded once for all of them.
pub(super) const TOGETHER: usize = 4;

/// # Safety
/// As for [`all_rows`].
#[inline(always)]
unsafe fn rows<I: Isa, S: Step>(x: &[f32], w: &[u8], stride: usize, y: &mut [f32]) {
    let n_steps = x.len() / STEP;
    let (x, w) = (x.as_ptr().cast::<u8>(), w.as_ptr());
    let n_each = y.len() / TOGETHER;
    let n_together = n_each * TOGETHER;
    let (step, apart) = if I::READS_QUARTERS { (1, n_each) } else { (TOGETHER, 1) };
    let (together, rest) = y.split_at_mut(n_together);
    // SAFETY: by the caller.
    unsafe {
        for index in 0..n_each {
            let first = index * step;
            let w = w.add(first * stride);
            let found = dots::<I, S, TOGETHER, 1>([x], w, apart * stride, n_steps);
            for (row, [found]) in found.into_iter().enumerate() {
                together[first + row * apart] = found;
            }
        }
        for (index, y) in rest.iter_mut().enumerate() {
            let w = w.add((n_together + index) * stride);
            [[*y]] = dots::<I, S, 1, 1>([x], w, stride, n_steps);
        }
    }
}

/// The products of `N` rows with `V` vectors.
///
/// # Safety
/// As for [`all_rows`].
#[inline(always)]
pub(super) unsafe fn dots<I: Isa, S: Step, const N: usize, const V: usize>(
    x: [*const u8; V],
    first: *const u8,
    stride: usize,
    n_steps: usize,
) -> [[f32; V]; N] {
    // SAFETY: by the caller.
    unsafe {
        // Two sums for each, so that one addition need not wait for the one before.
        let mut sums = [[[I::splat(0.0); 2]; V]; N];
        for step in 0..n_steps {
            let x = x.map(|x| x.add(step * F32::BYTES));
            for (row, sums) in sums.iter_mut().enumerate() {
                let w = first.add(row * stride + step * S::BYTES);
                I::prefetch(w.wrapping_add(AHEAD));
                *sums = S::add_to::<I, V>(*sums, x, w);
            }
        }
        sums.map(|sums| sums.map(|[a, b]| I::sum(I::add(a, b))))
    }
}

/// Writes stored steps as f32: as many as `out` has, of which the last may be cut short.
///
/// # Panics
/// If `w` is shorter.
#[inline(never)]
pub(super) fn widen(stored: Stored, w: &[u8], out: &mut [f32]) {
    assert!(out.len().div_ceil(STEP) * stored.step_bytes() <= w.len(), "as many steps");
    // SAFETY: as for `times`.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if Avx512::is_there() {
            return widen_with_avx512(stored, w, out);
        } else if Avx2::is_there() {
            return widen_with_avx2(stored, w, out);
        }
        widen_all::<Baseline>(stored, w, out);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
unsafe fn widen_with_avx512(stored: Stored, w: &[u8], out: &mut [f32]) {
    // SAFETY: by the caller.
    unsafe { widen_all::<Avx512>(stored, w, out) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn widen_with_avx2(stored: Stored, w: &[u8], out: &mut [f32]) {
    // SAFETY: by the caller.
    unsafe { widen_all::<Avx2>(stored, w, out) }
}

/// # Safety
/// As for [`Isa`]; `w` has as many steps as `out`.
#[inline(always)]
unsafe fn widen_all<I: Isa>(stored: Stored, w: &[u8], out: &mut [f32]) {
    // SAFETY: by the caller.
    unsafe {
        match stored {
            Stored::F32 => widen_steps::<I, F32>(w, out),
            Stored::F16 => widen_steps::<I, F16>(w, out),
            Stored::Bf16 => widen_steps::<I, Bf16>(w, out),
            Stored::Q8_0 => widen_steps::<I, Q8_0>(w, out),
        }
    }
}

/// # Safety
/// As for [`widen_all`].
#[inline(always)]
unsafe fn widen_steps<I: Isa, S: Step>(w: &[u8], out: &mut [f32]) {
    let (whole, rest) = out.as_chunks_mut::<STEP>();
    let mut w = w.as_ptr();
    // SAFETY: by the caller.
    unsafe {
        for out in whole {
            I::prefetch(w.wrapping_add(AHEAD));
            S::widen_to::<I>(w, out.as_mut_ptr());
            w = w.add(S::BYTES);
        }
        if !rest.is_empty() {
            let mut last = [0.0; STEP];
            S::widen_to::<I>(w, last.as_mut_ptr());
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

/// [`STEP`] values of a row.
pub(super) trait Step {
    const BYTES: usize;

    /// Writes them as f32.
    ///
    /// # Safety
    /// As for [`Isa`]; there are as many at both.
    unsafe fn widen_to<I: Isa>(w: *const u8, out: *mut f32);

    /// Adds their products with each `x`; the sums of one are the same beside any others.
    ///
    /// # Safety
    /// As for [`Isa`]; all are readable.
    unsafe fn add_to<I: Isa, const V: usize>(
        sums: [[I::Vector; 2]; V],
        x: [*const u8; V],
        w: *const u8,
    ) -> [[I::Vector; 2]; V];
}

pub(super) struct F32;
pub(super) struct F16;
pub(super) struct Bf16;
pub(super) struct Q8_0;

macro_rules! floats {
    ($step:ident, $load:ident, $width:literal) => {
        impl Step for $step {
            const BYTES: usize = $width * STEP;

            #[inline(always)]
            unsafe fn widen_to<I: Isa>(w: *const u8, out: *mut f32) {
                for start in (0..STEP).step_by(I::LANES) {
                    // SAFETY: by the caller.
                    unsafe { I::store(I::$load(w.add($width * start)), out.add(start)) };
                }
            }

            #[inline(always)]
            unsafe fn add_to<I: Isa, const V: usize>(
                mut sums: [[I::Vector; 2]; V],
                x: [*const u8; V],
                w: *const u8,
            ) -> [[I::Vector; 2]; V] {
                for vector in 0..STEP / I::LANES {
                    let start = vector * I::LANES;
                    // SAFETY: by the caller.
                    unsafe {
                        let w = I::$load(w.add($width * start));
                        for (sums, x) in sums.iter_mut().zip(x) {
                            let sum = &mut sums[vector % 2];
                            *sum = I::mul_add(w, I::f32(x.add(4 * start)), *sum);
                        }
                    }
                }
                sums
            }
        }
    };
}

floats!(F32, f32, 4);
floats!(F16, f16, 2);
floats!(Bf16, bf16, 2);

impl Step for Q8_0 {
    const BYTES: usize = 2 + STEP;

    #[inline(always)]
    unsafe fn widen_to<I: Isa>(w: *const u8, out: *mut f32) {
        // SAFETY: by the caller.
        unsafe {
            let scale = I::splat(I::half(w));
            for start in (0..STEP).step_by(I::LANES) {
                I::store(I::mul(I::i8(w.add(2 + start)), scale), out.add(start));
            }
        }
    }

    #[inline(always)]
    unsafe fn add_to<I: Isa, const V: usize>(
        mut sums: [[I::Vector; 2]; V],
        x: [*const u8; V],
        w: *const u8,
    ) -> [[I::Vector; 2]; V] {
        // SAFETY: by the caller.
        unsafe {
            let scale = I::splat(I::half(w));
            let codes = w.add(2);
            let first = I::i8(codes);
            let mut of_block = x.map(|x| I::mul(first, I::f32(x)));
            for start in (I::LANES..STEP).step_by(I::LANES) {
                let w = I::i8(codes.add(start));
                for (sum, x) in of_block.iter_mut().zip(x) {
                    *sum = I::mul_add(w, I::f32(x.add(4 * start)), *sum);
                }
            }
            for ([even, _], sum) in sums.iter_mut().zip(of_block) {
                *even = I::mul_add(sum, scale, *even);
            }
            sums
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::portable::Portable;
    use super::*;

    /// What all that this processor can run gives.
    fn of_each(stored: Stored, x: &[f32], w: &[u8], stride: usize, n: usize) -> Vec<Vec<f32>> {
        let mut found = vec![vec![f32::NAN; n]];
        times(stored, x, w, stride, &mut found[0]);
        // SAFETY: the lengths are those that `times` has checked, the instructions are asked for.
        unsafe {
            found.push(vec![f32::NAN; n]);
            all_rows::<Portable>(stored, x, w, stride, &mut found[1]);
            #[cfg(target_arch = "x86_64")]
            if Avx2::is_there() {
                found.push(vec![f32::NAN; n]);
                with_avx2(stored, x, w, stride, &mut found[2]);
            }
        }
        found
    }

    proptest! {
        #[test]
        fn all_instructions_give_the_same_products(
            (n_rows, n_steps) in (0..11_usize, 0..4_usize),
            seed in any::<u32>(),
        ) {
            let x = crate::train::testing::numbers(n_steps * STEP, seed);
            for stored in [Stored::F32, Stored::F16, Stored::Bf16, Stored::Q8_0] {
                let stride = n_steps * stored.step_bytes();
                let values = crate::train::testing::numbers(n_rows * n_steps * STEP, !seed);
                let w = super::super::testing::stored(stored, &values);
                let decoded = super::super::testing::values(stored, &w);
                let mut wide = vec![f32::NAN; (n_rows * n_steps * STEP).saturating_sub(3)];
                widen(stored, &w, &mut wide);
                prop_assert_eq!(&wide[..], &decoded[..wide.len()]);
                for y in of_each(stored, &x, &w, stride, n_rows) {
                    for (row, y) in y.iter().enumerate() {
                        let row = &decoded[row * n_steps * STEP..][..n_steps * STEP];
                        let terms = || row.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x));
                        let size: f64 = terms().map(f64::abs).sum();
                        prop_assert!((f64::from(*y) - terms().sum::<f64>()).abs() <= 1e-6 * size);
                    }
                }
            }
        }
    }
}
