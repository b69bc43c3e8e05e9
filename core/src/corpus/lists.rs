//! Items that process a list in context: count, sort, copy or reverse it.

use super::draft::Draft;
use super::words::{ANIMALS, DIGITS, SYLLABLES};

/// `count pig goat pig : pig 2 , goat 1 .`
pub(super) fn count(draft: &mut Draft<'_>) {
    // The kinds in the order in which they are counted: that order shows in the item, so the two
    // are not interchangeable.
    let kinds = draft.distinct(ANIMALS.len(), 2).into_iter().map(|kind| ANIMALS[kind].0);
    let counted: Vec<(&str, usize)> =
        kinds.map(|kind| (kind, 1 + draft.below(MAX_COUNT))).collect();

    draft.write("count");
    for is_first_kind in draft.arrangement(counted[0].1, counted[1].1) {
        let (kind, _) = counted[usize::from(!is_first_kind)];
        draft.write(kind);
    }
    draft.write(":");
    for (i, (kind, n)) in counted.into_iter().enumerate() {
        if i > 0 {
            draft.write(",");
        }
        draft.write(kind);
        draft.answer("count", draft.tokens_of(&DIGITS[1..=MAX_COUNT]), n - 1);
    }
}

/// Each count from 1 to this is equally likely, so that guessing reaches only chance accuracy.
const MAX_COUNT: usize = 5;

/// `sort 6 0 7 9 2 : 0 2 6 7 9 .`
pub(super) fn sort(draft: &mut Draft<'_>) {
    let mut list = random_list(draft, DIGITS.len());
    draft.write("sort");
    for &digit in &list {
        draft.write(DIGITS[digit]);
    }
    draft.write(":");
    list.sort_unstable();
    for digit in list {
        draft.answer("sort", draft.tokens_of(&DIGITS), digit);
    }
}

/// `say ka lo mi backwards : mi lo ka .` or `say ka lo mi again : ka lo mi .`
pub(super) fn say(draft: &mut Draft<'_>) {
    let backwards = draft.below(2) == 1;
    let mut list = random_list(draft, SYLLABLES.len());
    draft.write("say");
    for &syllable in &list {
        draft.write(SYLLABLES[syllable]);
    }
    draft.write(if backwards { "backwards :" } else { "again :" });
    if backwards {
        list.reverse();
    }
    let task = if backwards { "rev" } else { "copy" };
    for syllable in list {
        draft.answer(task, draft.tokens_of(&SYLLABLES), syllable);
    }
}

/// Three to five different numbers below `n`.
fn random_list(draft: &mut Draft<'_>, n: usize) -> Vec<usize> {
    let len = 3 + draft.below(3);
    draft.distinct(n, len)
}
