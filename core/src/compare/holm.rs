//! Holm's correction for multiple tests.

/// Holm-Bonferroni adjusted p-values (Holm 1979), which control the family-wise error rate under
/// any dependence; in the given order, each from the p-value itself to 1.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![1.0; p_values.len()];
    let mut least = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        let n_left = (p_values.len() - rank) as f64;
        // Adjusted p-values are monotone in the p-values.
        least = least.max((p_values[index] * n_left).min(1.0));
        corrected[index] = least;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `statsmodels.stats.multitest.multipletests([.01, .04, .03, .005], method="holm")[1]`,
    /// statsmodels 0.15.0.
    #[test]
    fn corrected_values_are_those_of_statsmodels() {
        for (found, expected) in
            holm(&[0.01, 0.04, 0.03, 0.005]).iter().zip([0.03, 0.06, 0.06, 0.02])
        {
            assert!((found - expected).abs() < 1e-12);
        }
    }

    proptest! {
        #[test]
        fn correction_raises_values_and_keeps_their_order(
            values in prop::collection::vec(0.0..=1.0_f64, 0..30),
        ) {
            let corrected = holm(&values);
            for (value, corrected) in values.iter().zip(&corrected) {
                prop_assert!(value <= corrected && *corrected <= 1.0);
            }
            for (a, b) in values.iter().zip(&corrected) {
                for (c, d) in values.iter().zip(&corrected) {
                    prop_assert!(a > c || b <= d);
                }
            }
        }
    }
}
