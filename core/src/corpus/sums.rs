//! Items that add two to four numbers, with a total of at most 9.
//!
//! Half of them contain each partial sum. A model trained only on totals hardly learns to add; the
//! intermediate steps provide one addition at a time.

use super::draft::Draft;
use super::words::DIGITS;

/// `2 + 3 + 1 makes 6 .` or `2 + 3 is 5 + 1 is 6 .`
pub(super) fn sum(draft: &mut Draft<'_>) {
    let n_terms = 2 + draft.below(3);
    let terms = random_terms(draft, n_terms);
    let in_steps = draft.below(2) == 1;

    let mut total = terms[0];
    draft.write(DIGITS[total]);
    for &term in &terms[1..] {
        draft.write("+");
        draft.write(DIGITS[term]);
        total += term;
        if in_steps {
            draft.write("is");
            draft.answer("steps", draft.tokens_of(&DIGITS), total);
        }
    }
    if !in_steps {
        draft.write("makes");
        draft.answer(["sum2", "sum3", "sum4"][n_terms - 2], draft.tokens_of(&DIGITS), total);
    }
}

/// Numbers whose total is 0 to 9. Each total is equally likely, so that guessing reaches only
/// chance accuracy, and each way to split that total is equally likely.
fn random_terms(draft: &mut Draft<'_>, n_terms: usize) -> Vec<usize> {
    let total = draft.below(DIGITS.len());
    // The total in unary, with a separator between terms.
    let row = draft.arrangement(total, n_terms - 1);
    row.split(|&is_one| !is_one).map(<[bool]>::len).collect()
}
