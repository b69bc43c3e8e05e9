//! A product of matrices that is added to what is there.

/// `sum += xᵀ · y`, for rows `x` of `n_x` numbers and as many rows `y` of `n_y`; `sum` has `n_x` rows of
/// `n_y`. `false` where the feature `threads` is off: nothing has changed then.
///
/// # Panics
/// When the lengths do not fit together.
pub fn add_transposed_product(
    sum: &mut [f32],
    x: &[f32],
    y: &[f32],
    [n_x, n_y]: [usize; 2],
) -> bool {
    let n_rows = x.len() / n_x.max(1);
    assert_eq!([sum.len(), x.len(), y.len()], [n_x * n_y, n_rows * n_x, n_rows * n_y]);
    #[cfg(feature = "threads")]
    {
        let [of_x, of_y] = [n_x, n_y].map(|width| width as isize);
        // SAFETY: by the lengths above, every element that these strides reach is in its slice, and
        // `sum` is borrowed by nobody else.
        unsafe {
            gemm::gemm(
                n_x,
                n_y,
                n_rows,
                sum.as_mut_ptr(),
                1,
                of_y,
                true,
                x.as_ptr(),
                of_x,
                1,
                y.as_ptr(),
                1,
                of_y,
                1.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::Rayon(0),
            );
        }
        true
    }
    #[cfg(not(feature = "threads"))]
    false
}

#[cfg(all(test, feature = "threads"))]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::numbers;
    use super::*;

    proptest! {
        #[test]
        fn the_product_is_added(n_rows in 0..9usize, n_x in 1..19usize, n_y in 1..19usize) {
            let (x, y) = (numbers(n_rows * n_x, 7), numbers(n_rows * n_y, 3));
            let before = numbers(n_x * n_y, 11);
            let mut sum = before.clone();
            prop_assert!(add_transposed_product(&mut sum, &x, &y, [n_x, n_y]));
            for (index, sum) in sum.iter().enumerate() {
                let (i, j) = (index / n_y, index % n_y);
                let product: f32 = (0..n_rows).map(|row| x[row * n_x + i] * y[row * n_y + j]).sum();
                prop_assert!((sum - before[index] - product).abs() < 1e-4);
            }
        }
    }
}
