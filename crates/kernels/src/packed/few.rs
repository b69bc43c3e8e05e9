//! Products of rows with a few vectors, such as the tokens of a draft: every weight is read from memory
//! once for all of them, and each product has the bits that it has alone.

use super::isa::{Isa, STEP};
use super::rows::{Bf16, F16, F32, Q8_0, Step, Stored, dots};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use super::{Aligned, Baseline};
use crate::team::{SHARED_BYTES, share};

/// Vectors for which a row is widened once: as many sums fit into 32 registers, or into 16.
const VECTORS: [usize; 2] = [6, 4];

/// Bytes of rows that are multiplied by all vectors before the next rows are read.
const BLOCK_BYTES: usize = 1 << 16;

/// Where rows are, and how.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) stored: Stored,
    pub(super) bytes: &'a [u8],
    /// Bytes from one row to the next.
    pub(super) stride: usize,
}

/// `y = x · wᵀ`: vectors of `width` numbers in `x`, and in `y` a product for each of the `n_rows` rows of `w`
/// after another, vector by vector. Rows of `w` are whole steps.
///
/// # Panics
/// If lengths do not fit together.
pub(super) fn times_few(x: &[f32], width: usize, w: Rows<'_>, n_rows: usize, y: &mut [f32]) {
    let n_vectors = x.len() / width.max(1);
    assert_eq!([x.len(), y.len()], [n_vectors * width, n_vectors * n_rows], "a product for each");
    if n_vectors == 0 {
        return;
    }
    let x: &[f32] = &Aligned::copy(x, width);
    let width = x.len() / n_vectors;
    // Row by row first, so that threads share the rows of all vectors.
    let mut by_row = vec![0.0; y.len()];
    let smallest = SHARED_BYTES / w.stride.max(1) * n_vectors;
    share(&mut by_row, n_vectors, smallest, |first, y| {
        let bytes = &w.bytes[first / n_vectors * w.stride..];
        let n_each = (BLOCK_BYTES / w.stride.max(1)).max(1);
        let blocks = bytes.chunks(n_each * w.stride).zip(y.chunks_mut(n_each * n_vectors));
        for (bytes, y) in blocks {
            block(x, width, Rows { bytes, ..w }, n_vectors, y);
        }
    });
    for (row, products) in by_row.chunks_exact(n_vectors).enumerate() {
        for (vector, product) in products.iter().enumerate() {
            y[vector * n_rows + row] = *product;
        }
    }
}

/// Rows for each `n_vectors` products of `y`.
#[inline(never)]
fn block(x: &[f32], width: usize, w: Rows<'_>, n_vectors: usize, y: &mut [f32]) {
    let row_bytes = width / STEP * w.stored.step_bytes();
    assert!(width.is_multiple_of(STEP) && row_bytes <= w.stride, "whole steps");
    assert!((y.len() / n_vectors - 1) * w.stride + row_bytes <= w.bytes.len(), "as many rows");
    // SAFETY: rows and vectors are as long as the loops go, by the lengths above, and a function for
    // some instructions is called only where the processor has them.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        if Avx512::is_there() {
            return with_avx512(x, width, w, n_vectors, y);
        } else if Avx2::is_there() {
            return with_avx2(x, width, w, n_vectors, y);
        }
        all::<Baseline>(x, width, w, n_vectors, y);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
unsafe fn with_avx512(x: &[f32], width: usize, w: Rows<'_>, n_vectors: usize, y: &mut [f32]) {
    // SAFETY: by the caller.
    unsafe { all::<Avx512>(x, width, w, n_vectors, y) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn with_avx2(x: &[f32], width: usize, w: Rows<'_>, n_vectors: usize, y: &mut [f32]) {
    // SAFETY: by the caller.
    unsafe { all::<Avx2>(x, width, w, n_vectors, y) }
}

/// # Safety
/// As for [`Isa`]; `w` has rows for each `n_vectors` of `y`, `x` that many vectors of `width`.
#[inline(always)]
unsafe fn all<I: Isa>(x: &[f32], width: usize, w: Rows<'_>, n_vectors: usize, y: &mut [f32]) {
    let n_at_once = VECTORS[usize::from(!I::HAS_MANY_REGISTERS)];
    for first in (0..n_vectors).step_by(n_at_once) {
        let x = &x[first * width..];
        let each = y.chunks_exact_mut(n_vectors).map(|y| &mut y[first..]);
        // SAFETY: by the caller.
        unsafe {
            match n_at_once.min(n_vectors - first) {
                1 => formats::<I, 1>(x, width, w, each),
                2 => formats::<I, 2>(x, width, w, each),
                3 => formats::<I, 3>(x, width, w, each),
                4 => formats::<I, 4>(x, width, w, each),
                5 => formats::<I, 5>(x, width, w, each),
                _ => formats::<I, 6>(x, width, w, each),
            }
        }
    }
}

/// # Safety
/// As for [`all`].
#[inline(always)]
unsafe fn formats<'y, I: Isa, const V: usize>(
    x: &[f32],
    width: usize,
    w: Rows<'_>,
    y: impl Iterator<Item = &'y mut [f32]>,
) {
    // SAFETY: by the caller.
    unsafe {
        match w.stored {
            Stored::F32 => rows::<I, F32, V>(x, width, w, y),
            Stored::F16 => rows::<I, F16, V>(x, width, w, y),
            Stored::Bf16 => rows::<I, Bf16, V>(x, width, w, y),
            Stored::Q8_0 => rows::<I, Q8_0, V>(x, width, w, y),
        }
    }
}

/// # Safety
/// As for [`all`].
#[inline(always)]
unsafe fn rows<'y, I: Isa, S: Step, const V: usize>(
    x: &[f32],
    width: usize,
    w: Rows<'_>,
    mut y: impl Iterator<Item = &'y mut [f32]>,
) {
    let x: [*const u8; V] = std::array::from_fn(|vector| x[vector * width..].as_ptr().cast());
    let mut row = w.bytes.as_ptr();
    while let Some(first) = y.next() {
        // SAFETY: by the caller.
        unsafe {
            // With many registers two rows at once: every number of `x` is loaded for both.
            let second = if I::HAS_MANY_REGISTERS { y.next() } else { None };
            if let Some(second) = second {
                let found = dots::<I, S, 2, V>(x, row, w.stride, width / STEP);
                first[..V].copy_from_slice(&found[0]);
                second[..V].copy_from_slice(&found[1]);
                row = row.wrapping_add(2 * w.stride);
            } else {
                let [found] = dots::<I, S, 1, V>(x, row, w.stride, width / STEP);
                first[..V].copy_from_slice(&found);
                row = row.wrapping_add(w.stride);
            }
        }
    }
}
