//! Texts of the reader's own, from which a student is to learn.

use boomerang_core::tokenizer::Tokenizer;

use super::messages::TextsRead;
use crate::notice::{Notice, chain};

/// A file's name and its text.
pub(super) type Text = (String, String);

/// What a file says.
///
/// # Errors
/// A [`Notice`] when it is not UTF-8.
pub(super) fn as_text(name: &str, bytes: Vec<u8>) -> Result<String, Notice> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        let why = format!("{name} is no text in UTF-8: byte {place} belongs to no character");
        not_learnt(why, "Save it as plain text in UTF-8, and choose it again.")
    })?;
    // Some editors begin a file with a mark that is no part of its text.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The tokens of each text, and what is told of them.
pub(super) fn encode(
    texts: Vec<Text>,
    tokenizer: &Tokenizer,
) -> Result<(Vec<Vec<u32>>, TextsRead), Notice> {
    let unknown = ["<unk>", "[UNK]"].into_iter().find_map(|token| tokenizer.id(token));
    let mut read = TextsRead { names: Vec::new(), n_tokens: 0, n_unknown: 0, n_held_out: 0 };
    let mut documents = Vec::new();
    for (name, text) in texts {
        let tokens = tokenizer.encode(&text, true);
        let tokens = tokens.map_err(|error| not_learnt(chain(&error), "Choose other texts."))?;
        read.n_tokens += tokens.len();
        read.n_unknown += tokens.iter().filter(|&&token| Some(token) == unknown).count();
        read.names.push(name);
        documents.push(tokens);
    }
    Ok((documents, read))
}

pub(super) fn not_learnt(why: String, next: &str) -> Notice {
    Notice::new("Nothing can be learnt from these texts.", why, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_refused_with_its_place() {
        let notice = as_text("a.txt", vec![b'a', b'b', 0xff]).unwrap_err();
        assert!(notice.why.contains("a.txt") && notice.why.contains("byte 2"), "{}", notice.why);
    }

    #[test]
    fn the_mark_at_the_beginning_is_no_text() {
        assert_eq!(as_text("a.txt", "\u{feff}é".into()).unwrap(), "é");
    }

    #[test]
    fn words_that_the_teacher_does_not_know_are_counted() {
        let tokenizer = boomerang_core::corpus::Corpus::new(5).tokenizer_json();
        let tokenizer = Tokenizer::from_json(tokenizer.as_bytes()).unwrap();
        let texts = [("a", "1 + 2"), ("b", "zeppelin")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let (documents, read) = encode(texts.to_vec(), &tokenizer).unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!((read.names, read.n_unknown), (vec!["a".to_owned(), "b".to_owned()], 1));
        assert_eq!(read.n_tokens, documents.iter().map(Vec::len).sum::<usize>());
    }
}
