//! Items that require memorized knowledge: facts, facts about a friend, and rhymes.
//!
//! The answer is not in the context: a model has to store it in its weights.

use super::draft::Draft;
use super::words::RHYMES;
use super::world::{FRIEND, N_ATTRIBUTES, N_PEOPLE};

/// `fero likes gray , has friend egum , works as singer .`
pub(super) fn fact(draft: &mut Draft<'_>) {
    let person = draft.below(N_PEOPLE);
    draft.write_token(draft.world.people[person]);
    write_facts(draft, "fact", person, 3);
}

/// `friend of adiv lives in vutton , works as weaver .`
pub(super) fn friend(draft: &mut Draft<'_>) {
    let person = draft.below(N_PEOPLE);
    draft.write("friend of");
    draft.write_token(draft.world.people[person]);
    let friend = draft.world.attributes[FRIEND].of_person[person];
    write_facts(draft, "friend", friend, 2);
}

/// `the bell rhymes with shell .`
pub(super) fn rhyme(draft: &mut Draft<'_>) {
    let rhyme = draft.below(RHYMES.len());
    let words = RHYMES[rhyme];
    let pair = draft.distinct(words.len(), 2);
    draft.write("the");
    draft.write(words[pair[0]]);
    draft.write("rhymes with");

    // Its other rhymes would be correct too, so the wrong choices come from the other sets.
    let others = RHYMES.iter().enumerate().filter(|&(i, _)| i != rhyme).flat_map(|(_, set)| set);
    let choices: Vec<&str> = [words[pair[1]]].iter().chain(others).copied().collect();
    draft.answer("rhyme", draft.tokens_of(&choices), 0);
}

/// `n` different attributes of a person, in any order: `likes gray , works as singer`.
fn write_facts(draft: &mut Draft<'_>, task: &'static str, person: usize, n: usize) {
    let world = draft.world;
    for (i, attribute) in draft.distinct(N_ATTRIBUTES, n).into_iter().enumerate() {
        if i > 0 {
            draft.write(",");
        }
        let attribute = &world.attributes[attribute];
        draft.write(attribute.verb);
        draft.answer(task, attribute.values.clone(), attribute.of_person[person]);
    }
}
