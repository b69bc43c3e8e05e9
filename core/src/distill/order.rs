//! Orders of rows that need no list: a shuffle by number, and a mixture of sources by weight.

/// A random order of the numbers below `n`, by its seed: number `i` of the order in time and memory that
/// do not depend on `n`.
///
/// A Feistel network over the next power of four, walked until it lands below `n` (Black and Rogaway,
/// "Ciphers with Arbitrary Finite Domains", 2002).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shuffle {
    seed: u64,
}

const ROUNDS: u64 = 6;

impl Shuffle {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The `index`-th of `n` numbers in the order of an epoch.
    ///
    /// # Panics
    /// When `index` is not below `n`.
    pub(super) fn at(self, index: u64, n: u64, epoch: u64) -> u64 {
        assert!(index < n, "number {index} of {n}");
        let half_bits = (u64::BITS - (n - 1).leading_zeros()).div_ceil(2).max(1);
        let mask = (1_u64 << half_bits) - 1;
        let key = mixed(self.seed ^ mixed(epoch.wrapping_add(1)));
        let mut number = index;
        loop {
            let (mut left, mut right) = (number >> half_bits, number & mask);
            for round in 0..ROUNDS {
                let changed = left ^ (mixed(right ^ key.wrapping_add(round)) & mask);
                (left, right) = (right, changed);
            }
            number = left << half_bits | right;
            if number < n {
                return number;
            }
        }
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), which spreads every bit.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Which source the `index`-th row comes from, and how many of that source come before it. Of any first
/// `n` rows a source has its share by weight, to less than a row for two sources.
///
/// # Panics
/// When all weights are 0.
pub(super) fn turn(index: u64, weights: &[u64]) -> (usize, u64) {
    let mut rest: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    assert!(rest > 0, "no source has a weight");
    let mut index = u128::from(index);
    for (source, &weight) in weights.iter().enumerate() {
        let weight = u128::from(weight);
        let before = index * weight / rest;
        if (index + 1) * weight / rest > before {
            return (source, before as u64);
        }
        index -= before;
        rest -= weight;
    }
    unreachable!("the last source with a weight has all that is left")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_shuffle_has_every_number_once(n in 1_u64..3000, seed: u64, epoch in 0_u64..5) {
            let all: BTreeSet<u64> = (0..n).map(|index| Shuffle::new(seed).at(index, n, epoch)).collect();
            prop_assert_eq!(all, (0..n).collect::<BTreeSet<_>>());
        }

        #[test]
        fn every_row_of_a_source_has_its_turn_in_order(
            weights in proptest::collection::vec(0_u64..1000, 1..5).prop_filter("some weight", |weights| {
                weights.iter().any(|&weight| weight > 0)
            }),
        ) {
            let n_rows = 2000;
            let mut counts = vec![0; weights.len()];
            for index in 0..n_rows {
                let (source, number) = turn(index, &weights);
                prop_assert_eq!(number, counts[source]);
                counts[source] += 1;
            }
            let sum: u64 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(&weights) {
                let share = n_rows as f64 * *weight as f64 / sum as f64;
                let most = weights.len() as f64;
                prop_assert!((*count as f64 - share).abs() <= most, "{} instead of {}", count, share);
            }
        }
    }

    #[test]
    fn seed_and_epoch_decide_the_order() {
        let order = |seed, epoch| -> Vec<u64> {
            (0..100).map(|index| Shuffle::new(seed).at(index, 100, epoch)).collect()
        };
        assert_eq!(order(1, 0), order(1, 0));
        assert_ne!(order(1, 0), order(2, 0));
        assert_ne!(order(1, 0), order(1, 1));
        // Neighbors are not neighbors.
        let order = order(1, 0);
        let n_neighbors = order.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1);
        assert!(n_neighbors.count() < 10);
    }

    #[test]
    fn billions_of_rows_take_no_memory() {
        let n = 1 << 40;
        assert!(Shuffle::new(3).at(n - 1, n, 0) < n);
        assert_eq!(turn(u64::MAX - 1, &[1, 1]), (1, (u64::MAX - 1) / 2));
    }
}
