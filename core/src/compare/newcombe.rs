//! Confidence interval of a difference of paired proportions.

/// The difference of two proportions of the same questions or people, second minus first, with its
/// 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedChange {
    /// From -1 to 1.
    pub difference: f64,
    pub low: f64,
    pub high: f64,
}

/// The 97.5th percentile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

impl PairedChange {
    /// From how many have it both times, only the first time, only the second time, and never; `None`
    /// for nobody.
    ///
    /// Newcombe's hybrid score interval with a corrected correlation (method 10 of Newcombe 1998,
    /// Statistics in Medicine 17, 2635), which stays within -1 and 1 and is usable for a dozen people.
    pub fn new(both: usize, only_first: usize, only_second: usize, neither: usize) -> Option<Self> {
        let [a, b, c, d] = [both, only_first, only_second, neither].map(|count| count as f64);
        let n = a + b + c + d;
        if n == 0.0 {
            return None;
        }
        let (first, second) = ((a + b) / n, (a + c) / n);
        let [(low_1, high_1), (low_2, high_2)] = [first, second].map(|it| wilson(it, n));
        let difference = second - first;
        let correlation = correlation([a, b, c, d]);
        let reach = |one: f64, other: f64| {
            (one * one - 2.0 * correlation * one * other + other * other).max(0.0).sqrt()
        };
        Some(Self {
            difference,
            low: difference - reach(second - low_2, high_1 - first),
            high: difference + reach(high_2 - second, first - low_1),
        })
    }
}

/// Wilson's score interval of one proportion of `n`.
fn wilson(proportion: f64, n: f64) -> (f64, f64) {
    let square = Z * Z;
    let center = 2.0 * n * proportion + square;
    let reach = Z * (square + 4.0 * n * proportion * (1.0 - proportion)).sqrt();
    let scale = 2.0 * (n + square);
    (((center - reach) / scale).max(0.0), ((center + reach) / scale).min(1.0))
}

/// Newcombe's phi of a table of four counts, with a continuity correction when it is positive.
fn correlation([a, b, c, d]: [f64; 4]) -> f64 {
    let margins = (a + b) * (c + d) * (a + c) * (b + d);
    if margins == 0.0 {
        return 0.0;
    }
    let covariance = a * d - b * c;
    let half = (a + b + c + d) / 2.0;
    let corrected = if covariance > 0.0 { (covariance - half).max(0.0) } else { covariance };
    corrected / margins.sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Newcombe 1998, table II, 36, 12, 2 and 0 of 50, with the sign of first minus second.
    #[test]
    fn the_interval_is_the_published_one() {
        let found = PairedChange::new(36, 12, 2, 0).unwrap();
        assert!((found.difference + 0.2).abs() < 1e-12, "{found:?}");
        assert!(
            (found.low + 0.3404).abs() < 5e-5 && (found.high + 0.0569).abs() < 5e-5,
            "{found:?}"
        );
    }

    #[test]
    fn everybody_who_learns_has_an_interval_below_one() {
        let found = PairedChange::new(0, 0, 5, 0).unwrap();
        assert!((found.difference - 1.0).abs() < 1e-12 && found.low < 0.6, "{found:?}");
        assert!((found.high - 1.0).abs() < 1e-12, "{found:?}");
        assert_eq!(PairedChange::new(0, 0, 0, 0), None);
    }

    proptest! {
        #[test]
        fn exchanging_the_two_exchanges_the_signs(
            counts in prop::array::uniform4(0..60_usize).prop_filter("n", |it| it.iter().sum::<usize>() > 0),
        ) {
            let [a, b, c, d] = counts;
            let (found, turned) =
                (PairedChange::new(a, b, c, d).unwrap(), PairedChange::new(a, c, b, d).unwrap());
            prop_assert!((found.low + turned.high).abs() < 1e-12);
            prop_assert!(found.low <= found.difference + 1e-12 && found.difference <= found.high + 1e-12);
            prop_assert!(found.low >= -1.0 - 1e-12 && found.high <= 1.0 + 1e-12);
        }
    }
}
