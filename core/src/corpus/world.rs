//! The people of the world and the facts about them.

use rand::{Rng, RngExt};

use super::names::Names;
use super::vocabulary::Vocabulary;
use super::words::{COLORS, FOODS, JOBS};

pub(super) const N_PEOPLE: usize = 600;
pub(super) const N_TOWNS: usize = 20;
pub(super) const N_ATTRIBUTES: usize = 5;

/// The index of the friends in [`World::attributes`].
pub(super) const FRIEND: usize = 0;

pub(super) struct World {
    /// Their names, as tokens.
    pub(super) people: Vec<u32>,
    pub(super) attributes: [Attribute; N_ATTRIBUTES],
}

/// An attribute of each person, such as where they live.
pub(super) struct Attribute {
    /// The words between a person and the value: `lives in`.
    pub(super) verb: &'static str,
    /// All values, as tokens.
    pub(super) values: Vec<u32>,
    /// For each person an index into `values`; for friends it is also the index of a person.
    pub(super) of_person: Vec<usize>,
}

impl World {
    pub(super) fn new(rng: &mut impl Rng, names: &Names, vocabulary: &Vocabulary) -> Self {
        let people: Vec<u32> = names.people.iter().map(|name| vocabulary.id(name)).collect();
        let towns = names.towns.iter().map(|name| vocabulary.id(name)).collect();
        let tokens_of = |words: [&str; 20]| words.map(|word| vocabulary.id(word)).to_vec();

        // Nobody is their own friend: the offset to the friend's index is between 1 and N_PEOPLE -
        // 1.
        let friends = (0..N_PEOPLE)
            .map(|person| (person + rng.random_range(1..N_PEOPLE)) % N_PEOPLE)
            .collect();
        let mut attribute = |verb, values: Vec<u32>| {
            let of_person = (0..N_PEOPLE).map(|_| rng.random_range(0..values.len())).collect();
            Attribute { verb, values, of_person }
        };
        let attributes = [
            Attribute { verb: "has friend", values: people.clone(), of_person: friends },
            attribute("lives in", towns),
            attribute("works as", tokens_of(JOBS)),
            attribute("likes", tokens_of(COLORS)),
            attribute("eats", tokens_of(FOODS)),
        ];
        Self { people, attributes }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Corpus;
    use super::*;

    #[test]
    fn nobody_is_their_own_friend() {
        let world = Corpus::new(1).world;
        let friends = &world.attributes[FRIEND].of_person;
        assert!(friends.iter().enumerate().all(|(person, &friend)| person != friend));
    }
}
