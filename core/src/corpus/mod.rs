//! The generated corpus: short lines about an invented world, whose entropy is known exactly.
//!
//! A model of a few hundred thousand parameters learns it in minutes, which no natural text allows:
//! there are facts to remember, lists to copy, small sums, and grammar. Every line, an [`Item`],
//! starts with `<s>`, ends with `.`, and carries its information content in bits. Those bits give
//! the entropy of the corpus, a lower bound on the loss, so that (loss - entropy) is the exact
//! excess loss.
//!
//! The module provides the world, its vocabulary and tokenizer, training rows and multiple-choice
//! tasks; training and evaluation are elsewhere.
//!
//! Everything is generated deterministically from seeds with ChaCha8, identically on every machine
//! and in the browser.

pub mod distill_recipe;
mod draft;
mod grammar;
mod item_kind;
mod knowledge;
mod lists;
mod names;
pub mod pretrain_recipe;
mod rows;
mod sums;
mod tasks;
mod vocabulary;
mod words;
mod world;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use draft::Draft;
pub use item_kind::ItemKind;
pub use rows::{LONGEST_ITEM, Row, entropy_floor_of};
pub use tasks::{TASKS, Task};
use vocabulary::Vocabulary;
use world::World;

/// The name of the family that is trained on it: students that are distilled from its teacher have it
/// at the start of their name.
pub const FAMILY_NAME: &str = "Boomerang demo";

/// A fixed world of people and words from which items are sampled.
pub struct Corpus {
    vocabulary: Vocabulary,
    world: World,
}

impl Corpus {
    /// The world of a seed: its names and the facts about its people.
    pub fn new(seed: u64) -> Self {
        let mut rng = Stream::World.rng(seed);
        let names = names::Names::invent(&mut rng);
        let vocabulary = Vocabulary::new(&names);
        let world = World::new(&mut rng, &names, &vocabulary);
        Self { vocabulary, world }
    }

    /// All words, indexed by token id. The padding token has id 0.
    pub fn vocabulary(&self) -> &[String] {
        self.vocabulary.words()
    }

    /// The vocabulary as a Hugging Face `tokenizer.json`: one token per word, split at white space.
    pub fn tokenizer_json(&self) -> String {
        self.vocabulary.tokenizer_json()
    }

    /// The words of `tokens`, joined by single spaces.
    ///
    /// # Panics
    /// If a token is not an index into [`Corpus::vocabulary`].
    pub fn text(&self, tokens: &[u32]) -> String {
        let words: Vec<&str> = tokens.iter().map(|&token| self.vocabulary.word(token)).collect();
        words.join(" ")
    }

    /// One item, its kind sampled by [`ItemKind::weight`].
    pub fn item(&self, rng: &mut impl Rng) -> Item {
        let mut ticket = rng.random_range(0..ItemKind::total_weight());
        let kind = ItemKind::ALL.into_iter().find(|kind| {
            let is_chosen = ticket < kind.weight();
            ticket = ticket.saturating_sub(kind.weight());
            is_chosen
        });
        self.item_of(kind.expect("a ticket is below the total weight"), rng)
    }

    /// One item of the given kind. Its bits are the same as if [`Corpus::item`] had sampled it.
    pub fn item_of(&self, kind: ItemKind, rng: &mut impl Rng) -> Item {
        self.write(kind, &mut |n| rng.random_range(0..n))
    }

    /// Generates an item; `choose(n)` makes each random choice, a number below `n`.
    fn write(&self, kind: ItemKind, choose: &mut dyn FnMut(usize) -> usize) -> Item {
        let mut draft = Draft::new(&self.vocabulary, &self.world, choose);
        match kind {
            ItemKind::Fact => knowledge::fact(&mut draft),
            ItemKind::Friend => knowledge::friend(&mut draft),
            ItemKind::Sum => sums::sum(&mut draft),
            ItemKind::Count => lists::count(&mut draft),
            ItemKind::Sort => lists::sort(&mut draft),
            ItemKind::Say => lists::say(&mut draft),
            ItemKind::Brackets => grammar::brackets(&mut draft),
            ItemKind::Agree => grammar::agree(&mut draft),
            ItemKind::Rhyme => knowledge::rhyme(&mut draft),
        }
        draft.finish(kind)
    }
}

/// One line of the corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// From `<s>` to `.`.
    pub tokens: Vec<u32>,
    /// Information content: `-log2` of the probability of this item, including that of its kind.
    pub bits: f64,
    /// Tokens that can be asked for, in the order of the item.
    pub answers: Vec<Answer>,
    pub kind: ItemKind,
}

/// A token that is determined by the context, and wrong alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The [`Task::name`] of the task that asks for this token.
    pub task: &'static str,
    /// Index in [`Item::tokens`].
    pub position: usize,
    /// All different; exactly one is correct.
    pub choices: Vec<u32>,
    /// Index of the correct one in `choices`.
    pub gold: usize,
}

/// The purpose of random numbers. Each purpose has its own stream per seed, so that the world, the
/// training rows and the tasks of the same seed are independent.
#[derive(Clone, Copy)]
enum Stream {
    World,
    Rows,
    Tasks,
}

impl Stream {
    fn rng(self, seed: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(self as u64);
        rng
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every item of a kind, by enumerating all choices.
    fn all_items(corpus: &Corpus, kind: ItemKind) -> Vec<Item> {
        let mut items = Vec::new();
        // The choices of the last item as `(chosen, n)`; the next item increments them.
        let mut path: Vec<(usize, usize)> = Vec::new();
        loop {
            let mut depth = 0;
            items.push(corpus.write(kind, &mut |n| {
                if depth == path.len() {
                    path.push((0, n));
                }
                depth += 1;
                path[depth - 1].0
            }));
            while path.pop_if(|(chosen, n)| *chosen + 1 == *n).is_some() {}
            match path.last_mut() {
                Some((chosen, _)) => *chosen += 1,
                None => return items,
            }
        }
    }

    fn sample(corpus: &Corpus, n: usize) -> Vec<Item> {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        (0..n).map(|_| corpus.item(&mut rng)).collect()
    }

    /// Kinds with few enough items to enumerate.
    const SMALL: [ItemKind; 6] = [
        ItemKind::Fact,
        ItemKind::Friend,
        ItemKind::Sum,
        ItemKind::Sort,
        ItemKind::Brackets,
        ItemKind::Rhyme,
    ];

    #[test]
    fn different_choices_produce_different_items() {
        let corpus = Corpus::new(1);
        for kind in SMALL {
            let items = all_items(&corpus, kind);
            let texts: HashSet<&[u32]> = items.iter().map(|item| &*item.tokens).collect();
            assert_eq!(texts.len(), items.len(), "{kind:?}");
        }
    }

    #[test]
    fn the_probabilities_of_all_items_of_a_kind_sum_to_its_own() {
        let corpus = Corpus::new(1);
        for kind in SMALL {
            let items = all_items(&corpus, kind);
            let probability: f64 = items.iter().map(|item| (-item.bits).exp2()).sum();
            let expected = f64::from(kind.weight()) / f64::from(ItemKind::total_weight());
            assert!((probability - expected).abs() < 1e-9, "{kind:?}: {probability}");
        }
    }

    #[test]
    fn the_bits_of_a_fact_are_the_log2_of_the_number_of_facts() {
        let corpus = Corpus::new(1);
        // 600 people, 5 * 4 * 3 ways to choose their attributes, and the kind.
        let expected = (600.0 * 60.0_f64).log2() + ItemKind::Fact.bits();
        let item = corpus.item_of(ItemKind::Fact, &mut ChaCha8Rng::seed_from_u64(0));
        assert!((item.bits - expected).abs() < 1e-9);
    }

    #[test]
    fn an_item_starts_with_its_start_token_and_ends_with_a_full_stop() {
        let corpus = Corpus::new(1);
        for item in sample(&corpus, 1_000) {
            let text = corpus.text(&item.tokens);
            assert!(text.starts_with("<s> ") && text.ends_with(" ."), "{text}");
            assert_eq!(text.matches(['<', '.']).count(), 2, "{text}");
        }
    }

    #[test]
    fn an_answer_is_at_its_position_in_the_item() {
        for item in sample(&Corpus::new(1), 1_000) {
            for answer in item.answers {
                assert_eq!(item.tokens[answer.position], answer.choices[answer.gold]);
            }
        }
    }

    #[test]
    fn the_choices_of_an_answer_are_different() {
        for answer in sample(&Corpus::new(1), 1_000).into_iter().flat_map(|item| item.answers) {
            let different: HashSet<u32> = answer.choices.iter().copied().collect();
            assert_eq!(different.len(), answer.choices.len(), "{}", answer.task);
        }
    }

    #[test]
    fn the_items_of_a_seed_never_change() {
        let corpus = Corpus::new(5);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let texts = ItemKind::ALL.map(|kind| {
            let item = corpus.item_of(kind, &mut rng);
            corpus.text(&item.tokens)
        });
        // With other random numbers, a trained model would be evaluated on other facts.
        assert_eq!(texts, ITEMS_OF_WORLD_5);
    }

    const ITEMS_OF_WORLD_5: [&str; 9] = [
        "<s> onus works as fisher , likes yellow , has friend gona .",
        "<s> friend of udet works as mason , lives in ganford .",
        "<s> 2 + 6 is 8 .",
        "<s> count horse horse bear horse bear horse bear : bear 3 , horse 4 .",
        "<s> sort 8 1 5 : 1 5 8 .",
        "<s> say bu du li lo again : bu du li lo .",
        "<s> ( [ ( { } ) ] ) ( ) .",
        "<s> the duck is happy so it plays .",
        "<s> the mat rhymes with cat .",
    ];
}
