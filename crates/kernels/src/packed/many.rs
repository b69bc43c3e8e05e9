//! Products of a packed matrix with several vectors: a few as in `few.rs`, for more of them the matrix is
//! widened a piece at a time, then multiplied as any other.

use super::PackedMatrix;
use super::few::{Rows, times_few};

/// Values that are widened at a time: they stay in the cache until they are multiplied.
const PIECE: usize = 1 << 20;

/// More vectors than this are multiplied with widened weights.
const FEW: usize = 12;

impl PackedMatrix {
    /// The products with rows `x` of `n_columns` numbers, rows of `n_rows` numbers in `y`.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    pub fn times_many(&self, x: &[f32], y: &mut [f32]) {
        let n_vectors = x.len() / self.n_columns.max(1);
        assert_eq!([x.len(), y.len()], [n_vectors * self.n_columns, n_vectors * self.n_rows]);
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        if self.format == super::PackedFormat::Q8_0
            && self.n_columns.is_multiple_of(super::isa::STEP)
        {
            return self.times_many_in_integers(x, n_vectors, y);
        }
        if n_vectors <= FEW || self.n_rows == 0 {
            let stored = self.format.stored();
            let rows = Rows { stored, bytes: self.bytes(), stride: self.stride() };
            return crate::together(|| times_few(x, self.n_columns, rows, self.n_rows, y));
        }
        let n_together = (PIECE / self.n_columns).clamp(1, self.n_rows);
        let mut wide = vec![0.0; n_together * self.n_columns];
        for first in (0..self.n_rows).step_by(n_together) {
            let n = n_together.min(self.n_rows - first);
            let wide = &mut wide[..n * self.n_columns];
            self.widen(first, wide);
            multiply(x, wide, &mut y[first..], [n_vectors, self.n_columns, n, self.n_rows]);
        }
    }

    /// Four vectors at a time, the remaining ones one by one.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    fn times_many_in_integers(&self, x: &[f32], n_vectors: usize, y: &mut [f32]) {
        let (width, n_rows) = (self.n_columns, self.n_rows);
        let (w, stride) = (self.bytes(), self.stride());
        let shape = [n_rows, n_vectors];
        let n = super::integer::times_fours::<super::Baseline>(x, width, w, stride, shape, y);
        for vector in n..n_vectors {
            let y = &mut y[vector * n_rows..][..n_rows];
            self.times(&x[vector * width..][..width], y);
        }
    }

    /// Rows from `first` on as f32.
    fn widen(&self, first: usize, out: &mut [f32]) {
        let width = self.n_columns;
        crate::blocks::for_blocks([out], [width], |start, [out]| {
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                self.widen_row(first + start + row, out);
            }
        });
    }
}

/// `y = x · wᵀ`, for `m` rows of `k` in `x` and `n` in `w`; rows of `y` begin `stride` numbers apart.
fn multiply(x: &[f32], w: &[f32], y: &mut [f32], [m, k, n, stride]: [usize; 4]) {
    assert!(x.len() == m * k && w.len() == n * k && (m - 1) * stride + n <= y.len());
    #[cfg(feature = "threads")]
    {
        let [of_x, of_y] = [k, stride].map(|width| width as isize);
        // SAFETY: by the lengths above, every element that these strides reach is in its slice, and
        // `y` is borrowed by nobody else.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                y.as_mut_ptr(),
                1,
                of_y,
                false,
                x.as_ptr(),
                1,
                of_x,
                w.as_ptr(),
                of_x,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::Rayon(0),
            );
        }
    }
    #[cfg(not(feature = "threads"))]
    for (x, y) in x.chunks_exact(k).zip(y.chunks_mut(stride)) {
        crate::times_columns(x, w, &mut y[..n]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{FORMATS, matrix};
    use super::FEW;
    use crate::train::testing::numbers;

    proptest! {
        #[test]
        fn several_vectors_are_multiplied_as_each(
            (n_vectors, n_rows, n_columns) in (0..16_usize, 1..40_usize, 1..70_usize),
        ) {
            let x = numbers(n_vectors * n_columns, 3);
            for format in FORMATS {
                let matrix = matrix(format, n_rows, n_columns);
                let mut all = vec![f32::NAN; n_vectors * n_rows];
                matrix.times_many(&x, &mut all);
                for (x, found) in x.chunks(n_columns).zip(all.chunks(n_rows)) {
                    let mut one = vec![f32::NAN; n_rows];
                    matrix.times(x, &mut one);
                    for (found, one) in found.iter().zip(&one) {
                        prop_assert!((found - one).abs() < 1e-3, "{format:?}: {found} {one}");
                        prop_assert!(n_vectors > FEW || found == one, "{format:?}: other bits");
                    }
                }
            }
        }
    }
}
