//! Invented names for people (`fero`, `adiv`) and towns (`vutton`).
//!
//! They occur nowhere else, so that no pretrained model knows the answers.

use std::collections::HashSet;

use rand::Rng;
use rand::seq::IndexedRandom;

use super::vocabulary;
use super::world::{N_PEOPLE, N_TOWNS};

/// The names of a world, all different from each other and from every other word.
pub(super) struct Names {
    pub(super) people: Vec<String>,
    pub(super) towns: Vec<String>,
}

impl Names {
    pub(super) fn invent(rng: &mut impl Rng) -> Self {
        let mut taken: HashSet<String> = vocabulary::fixed_words().map(String::from).collect();
        let mut invent = |shapes: &[&[&[&str]]], n: usize| -> Vec<String> {
            let mut names = Vec::with_capacity(n);
            while names.len() < n {
                let name = spell(shapes, rng);
                if taken.insert(name.clone()) {
                    names.push(name);
                }
            }
            names
        };
        Self { people: invent(&PERSON, N_PEOPLE), towns: invent(&TOWN, N_TOWNS) }
    }
}

/// One letter group from each position of a shape.
fn spell(shapes: &[&[&[&str]]], rng: &mut impl Rng) -> String {
    let shape = shapes.choose(rng).expect("there are shapes");
    shape.iter().map(|letters| *letters.choose(rng).expect("every position has letters")).collect()
}

const VOWELS: &[&str] = &["a", "e", "i", "o", "u"];
/// Without `e`, which would turn many names into English words.
const LAST_VOWELS: &[&str] = &["a", "i", "o", "u"];
const CONSONANTS: &[&str] = &["b", "d", "f", "g", "l", "m", "n", "r", "s", "t", "v"];
const TOWN_ENDINGS: &[&str] = &["ton", "by", "ford", "wick", "ham"];

/// `fero` or `adiv`.
const PERSON: [&[&[&str]]; 2] =
    [&[CONSONANTS, VOWELS, CONSONANTS, LAST_VOWELS], &[VOWELS, CONSONANTS, VOWELS, CONSONANTS]];

/// `vutton`.
const TOWN: [&[&[&str]]; 1] = [&[CONSONANTS, VOWELS, CONSONANTS, TOWN_ENDINGS]];

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn another_seed_gives_other_people() {
        let people = |seed| Names::invent(&mut ChaCha8Rng::seed_from_u64(seed)).people;
        assert_eq!(people(1), people(1));
        assert_ne!(people(1), people(2));
    }
}
