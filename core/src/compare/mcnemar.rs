//! McNemar's test: whether the accuracies of two members differ on the same questions.

use serde::{Deserialize, Serialize};

/// The discordant questions of two members, and the p-value of the test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Questions that only the first member answers correctly.
    pub only_first: usize,
    pub only_second: usize,
    /// Two-sided p-value under the hypothesis of equal accuracy, from 0 to 1.
    pub p_value: f64,
    pub method: McNemarMethod,
}

/// How the p-value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum McNemarMethod {
    /// Exact binomial test, for few discordant questions.
    Exact,
    /// Chi-squared test with one degree of freedom and continuity correction.
    Corrected,
}

/// Largest number of discordant questions for the exact test; above it, the approximation differs
/// in the third digit.
const MOST_EXACT: usize = 25;

impl McNemar {
    /// From the numbers of questions that only one of the two answers correctly.
    pub fn new(only_first: usize, only_second: usize) -> Self {
        let n = only_first + only_second;
        let (p_value, method) = if n <= MOST_EXACT {
            (two_sided_binomial(only_first.min(only_second), n), McNemarMethod::Exact)
        } else {
            let excess = (only_first.abs_diff(only_second) as f64 - 1.0).max(0.0);
            let statistic = excess * excess / n as f64;
            (erfc((statistic / 2.0).sqrt()), McNemarMethod::Corrected)
        };
        Self { only_first, only_second, p_value, method }
    }

    /// From whether the first and the second member answer each question correctly.
    pub fn of(answers: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let (mut only_first, mut only_second) = (0, 0);
        for (first, second) in answers {
            only_first += usize::from(first && !second);
            only_second += usize::from(second && !first);
        }
        Self::new(only_first, only_second)
    }
}

/// Twice the probability of at most `k` heads in `n` tosses of a fair coin, at most 1; `k <= n / 2`.
fn two_sided_binomial(k: usize, n: usize) -> f64 {
    let mut ways = 1.0;
    let mut sum = 0.0;
    for heads in 0..=k {
        sum += ways;
        ways *= (n - heads) as f64 / (heads + 1) as f64;
    }
    (2.0 * sum * 0.5_f64.powi(n as i32)).min(1.0)
}

/// `2/√π ∫ₓ^∞ exp(-t²) dt` for `x >= 0`, with a relative error of about 1e-14.
fn erfc(x: f64) -> f64 {
    let density = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 2.0 {
        // erf(x) = 2 exp(-x²)/√π · Σ 2ⁿ x²ⁿ⁺¹ / (1·3·…·(2n+1)): all terms positive.
        let mut term = x;
        let mut sum = x;
        for n in 1..100 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        return 1.0 - 2.0 * density * sum;
    }
    // erfc(x) = exp(-x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …)))), from the inside out.
    let inner = (1..=200).rev().fold(x, |inner, n| x + f64::from(n) / 2.0 / inner);
    density / inner
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `scipy.stats.binomtest(k, n).pvalue`, scipy 1.17.1.
    #[test]
    fn few_disagreements_are_those_of_scipys_binomtest() {
        for (first, second, expected) in [(3, 12, 0.03515625), (6, 0, 0.03125), (12, 13, 1.0)] {
            let found = McNemar::new(first, second);
            assert!((found.p_value - expected).abs() < 1e-12, "{found:?}");
            assert_eq!(found.method, McNemarMethod::Exact);
        }
    }

    /// `scipy.stats.chi2.sf((abs(b - c) - 1)**2 / (b + c), 1)`, scipy 1.17.1.
    #[test]
    fn many_disagreements_are_those_of_scipys_chi2() {
        let expected = [
            (30, 14, 0.023738515250054576),
            (60, 100, 0.002047732153668759),
            (400, 250, 5.088225097505788e-09),
        ];
        for (first, second, expected) in expected {
            let found = McNemar::new(first, second);
            assert!((found.p_value / expected - 1.0).abs() < 1e-10, "{found:?}");
            assert_eq!(found.method, McNemarMethod::Corrected);
        }
    }

    /// `scipy.special.erfc(x)`, scipy 1.17.1.
    #[test]
    fn the_error_function_is_scipys() {
        let expected = [
            (0.0, 1.0),
            (0.1, 0.8875370839817152),
            (0.5, 0.4795001221869535),
            (1.0, 0.15729920705028516),
            (2.0, 0.004677734981047266),
            (3.0, 2.2090496998585445e-05),
            (5.0, 1.5374597944280347e-12),
        ];
        for (x, expected) in expected {
            assert!((erfc(x) / expected - 1.0).abs() < 1e-12, "{x}: {}", erfc(x));
        }
    }

    #[test]
    fn questions_that_both_answer_correctly_do_not_count() {
        let answers = [(true, true), (true, false), (false, false), (true, false), (false, true)];
        let found = McNemar::of(answers);
        assert_eq!((found.only_first, found.only_second), (2, 1));
    }

    proptest! {
        #[test]
        fn the_order_of_the_two_does_not_matter(first in 0..500_usize, second in 0..500_usize) {
            let (one, other) = (McNemar::new(first, second), McNemar::new(second, first));
            prop_assert_eq!(one.p_value, other.p_value);
            prop_assert!((0.0..=1.0).contains(&one.p_value));
        }

        #[test]
        fn a_more_lopsided_disagreement_is_less_likely(n in 1..500_usize, first in 0..250_usize) {
            prop_assume!(2 * first < n && first > 0);
            let (less, more) = (McNemar::new(first, n - first), McNemar::new(first - 1, n - first + 1));
            prop_assert!(more.p_value <= less.p_value);
        }
    }
}
