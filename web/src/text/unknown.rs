//! What is said of a prompt with words that the model does not know.

use crate::text::format;

/// `None` for a prompt that is known whole.
pub fn note(n_unknown: usize, is_of_corpus: bool) -> Option<String> {
    let of_world = if is_of_corpus {
        " This teacher knows only a small invented world: start with words of an example prompt."
    } else {
        ""
    };
    let (tokens, are) =
        (format::count(n_unknown, "token"), if n_unknown == 1 { "is" } else { "are" });
    (n_unknown > 0).then(|| {
        format!(
            "{tokens} of this prompt {are} unknown: the vocabulary of this model lacks these words, and \
             all of them are the same token to it.{of_world}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_prompt_with_unknown_words_has_a_note() {
        assert_eq!(note(0, true), None);
        assert!(note(1, false).unwrap().starts_with("1 token of this prompt is unknown"));
        assert!(note(2, false).unwrap().starts_with("2 tokens of this prompt are unknown"));
    }

    #[test]
    fn only_the_teacher_of_the_corpus_is_said_to_know_an_invented_world() {
        assert!(note(2, true).unwrap().contains("small invented world"));
        assert!(!note(2, false).unwrap().contains("invented"));
    }
}
