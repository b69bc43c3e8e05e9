//! What the tests of gradients share.

/// Numbers between -2 and 2 without a pattern.
pub(crate) fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 22) as f32 - 2.0
        })
        .collect()
}

/// Compares gradients with differences of `loss`, which is linear in what the function gives:
/// the sum of its numbers times `along`.
pub(crate) fn assert_gradient(x: &[f32], gradient: &[f32], loss: impl Fn(&[f32]) -> f64) {
    for index in 0..x.len() {
        const STEP: f32 = 1e-2;
        let at = |change: f32| {
            let mut x = x.to_vec();
            x[index] += change;
            loss(&x)
        };
        let slope = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
        let found = f64::from(gradient[index]);
        assert!((found - slope).abs() < 2e-3 * slope.abs().max(1.0), "{index}: {found} {slope}");
    }
}

pub(crate) fn along(y: &[f32], by: &[f32]) -> f64 {
    y.iter().zip(by).map(|(y, by)| f64::from(*y) * f64::from(*by)).sum()
}
