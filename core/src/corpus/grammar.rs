//! Items with long-range dependencies: matching brackets, subject-verb agreement.

use super::draft::Draft;
use super::words::{ADJECTIVES, ANIMALS, BRACKETS, PREPOSITIONS, VERBS};

/// `{ ( [ ] ) } ( ) .`
pub(super) fn brackets(draft: &mut Draft<'_>) {
    let mut n_to_open = 2 + draft.below(4);
    let mut open = Vec::new();
    while n_to_open > 0 || !open.is_empty() {
        // Sampled only where there is a choice: with nothing open, or all opened, there is one
        // continuation.
        let opens = open.is_empty() || (n_to_open > 0 && draft.below(2) == 0);
        if opens {
            let kind = draft.below(BRACKETS.len());
            draft.write(BRACKETS[kind].0);
            open.push(kind);
            n_to_open -= 1;
        } else if let Some(kind) = open.pop() {
            let closing = BRACKETS.map(|(_, closing)| closing);
            draft.answer("brack", draft.tokens_of(&closing), kind);
        }
    }
}

/// `the duck with the owls near the goat is calm so it rests .`
pub(super) fn agree(draft: &mut Draft<'_>) {
    let n_nouns = 1 + draft.below(3);
    let animals = draft.distinct(ANIMALS.len(), n_nouns);
    let is_plural: Vec<bool> = animals.iter().map(|_| draft.below(2) == 1).collect();
    for (i, (&animal, &is_plural)) in animals.iter().zip(&is_plural).enumerate() {
        if i > 0 {
            let preposition = draft.one_of(&PREPOSITIONS);
            draft.write(preposition);
        }
        draft.write("the");
        let (one, many) = ANIMALS[animal];
        draft.write(if is_plural { many } else { one });
    }

    // The nouns between the subject and its verb are distractors.
    let subject_is_plural = usize::from(is_plural[0]);
    draft.answer("agree", draft.tokens_of(&["is", "are"]), subject_is_plural);
    let adjective = draft.one_of(&ADJECTIVES);
    draft.write(adjective);
    draft.write("so");
    draft.answer("agree", draft.tokens_of(&["it", "they"]), subject_is_plural);
    let (of_one, of_many) = draft.one_of(&VERBS);
    draft.write([of_one, of_many][subject_is_plural]);
}
