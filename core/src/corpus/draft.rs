//! An item under construction: its tokens so far and the bits of the random choices.
//!
//! All randomness in an item passes through [`Draft::below`], which counts its bits. They are the
//! information content of the item if different choices produce different items, which each kind
//! guarantees.

use super::vocabulary::{START, Vocabulary};
use super::world::World;
use super::{Answer, Item, ItemKind};

pub(super) struct Draft<'a> {
    pub(super) world: &'a World,
    vocabulary: &'a Vocabulary,
    choose: &'a mut dyn FnMut(usize) -> usize,
    tokens: Vec<u32>,
    bits: f64,
    answers: Vec<Answer>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        vocabulary: &'a Vocabulary,
        world: &'a World,
        choose: &'a mut dyn FnMut(usize) -> usize,
    ) -> Self {
        let tokens = vec![vocabulary.id(START)];
        Self { world, vocabulary, choose, tokens, bits: 0.0, answers: Vec::new() }
    }

    /// A number below `n`, each equally likely.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.bits += (n as f64).log2();
        (self.choose)(n)
    }

    /// One of `all`, each equally likely.
    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// `k` different numbers below `n`, in any order with the same probability.
    pub(super) fn distinct(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..n).collect();
        (0..k).map(|_| left.swap_remove(self.below(left.len()))).collect()
    }

    /// `n_true` times true and `n_false` times false, in any order with the same probability.
    pub(super) fn arrangement(&mut self, n_true: usize, n_false: usize) -> Vec<bool> {
        // A single number encodes the arrangement: a choice for each position would distinguish
        // equal values and count bits that the item does not contain.
        let mut number = self.below(binomial(n_true + n_false, n_true));
        let mut n_true_left = n_true;
        (0..n_true + n_false)
            .rev()
            .map(|n_positions_after| {
                let n_starting_false = binomial(n_positions_after, n_true_left);
                let value = number >= n_starting_false;
                if value {
                    number -= n_starting_false;
                    n_true_left -= 1;
                }
                value
            })
            .collect()
    }

    /// Appends words of the vocabulary, separated by spaces.
    pub(super) fn write(&mut self, words: &str) {
        self.tokens.extend(words.split(' ').map(|word| self.vocabulary.id(word)));
    }

    pub(super) fn write_token(&mut self, token: u32) {
        self.tokens.push(token);
    }

    /// Appends `choices[gold]` and records it as a possible question.
    pub(super) fn answer(&mut self, task: &'static str, choices: Vec<u32>, gold: usize) {
        let position = self.tokens.len();
        self.tokens.push(choices[gold]);
        self.answers.push(Answer { task, position, choices, gold });
    }

    /// The tokens of words of the vocabulary.
    pub(super) fn tokens_of(&self, words: &[&str]) -> Vec<u32> {
        words.iter().map(|word| self.vocabulary.id(word)).collect()
    }

    pub(super) fn finish(mut self, kind: ItemKind) -> Item {
        self.write(".");
        Item { tokens: self.tokens, bits: self.bits + kind.bits(), answers: self.answers, kind }
    }
}

/// The number of ways to choose `k` of `n` things; 0 for `k > n`.
fn binomial(n: usize, k: usize) -> usize {
    // Exact at every step: the product of i + 1 consecutive numbers is divisible by (i + 1)!.
    (0..k).fold(1, |ways, i| ways * n.saturating_sub(i) / (i + 1))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::Corpus;
    use super::*;

    #[test]
    fn binomials_are_the_numbers_of_pascals_triangle() {
        let row: Vec<usize> = (0..=6).map(|k| binomial(5, k)).collect();
        assert_eq!(row, [1, 5, 10, 10, 5, 1, 0]);
    }

    #[test]
    fn every_arrangement_of_two_and_three_is_reached_once() {
        let Corpus { vocabulary, world } = Corpus::new(1);
        let arrangements: HashSet<Vec<bool>> = (0..10)
            .map(|number| Draft::new(&vocabulary, &world, &mut |_| number).arrangement(2, 3))
            .collect();
        assert_eq!(arrangements.len(), 10);
        assert!(arrangements.iter().all(|a| a.iter().filter(|&&value| value).count() == 2));
    }

    #[test]
    fn distinct_numbers_cost_the_log2_of_their_ordered_selections() {
        let Corpus { vocabulary, world } = Corpus::new(1);
        let mut choose = |n: usize| n - 1;
        let mut draft = Draft::new(&vocabulary, &world, &mut choose);
        assert_eq!(draft.distinct(10, 3).into_iter().collect::<HashSet<_>>().len(), 3);
        assert!((draft.bits - (10.0 * 9.0 * 8.0_f64).log2()).abs() < 1e-9);
    }
}
