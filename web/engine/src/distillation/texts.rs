//! The user's own texts, on which a student is distilled.

use boomerang_core::documents::{Document, Documents, Format, TextUnit, read};
use boomerang_core::tokenizer::Tokenizer;

use super::messages::TextsRead;
use crate::notice::{Notice, chain};
use crate::prompt::n_unknown;

/// A file's name and its documents.
pub(super) type Text = (String, Vec<Document>);

/// The documents of a file.
///
/// # Errors
/// A [`Notice`] with the line that cannot be read.
pub(super) fn as_documents(name: &str, bytes: &[u8]) -> Result<Vec<Document>, Notice> {
    let documents = Format::of(name).and_then(|format| read(name, format, bytes, TextUnit::File));
    let Documents { documents, .. } = documents
        .map_err(|error| not_usable(chain(&error), "Correct the file, and choose it again."))?;
    Ok(documents)
}

/// The tokens of each document, and what is reported of them.
///
/// # Errors
/// A [`Notice`] for documents that this teacher cannot read.
pub(super) fn encode(
    texts: Vec<Text>,
    tokenizer: &Tokenizer,
    vocab: usize,
) -> Result<(Vec<Vec<u32>>, TextsRead), Notice> {
    let mut read = TextsRead { names: Vec::new(), n_tokens: 0, n_unknown: 0, n_held_out: 0 };
    let mut documents = Vec::new();
    for (name, of_file) in texts {
        for document in of_file {
            let from = document.from.clone();
            let row = document.into_tokens(Some(tokenizer), vocab);
            let row = row.map_err(|error| not_usable(chain(&error), "Choose other texts."))?;
            if row.is_label.is_some() {
                let why = format!("{from}: labels are not read here");
                return Err(not_usable(
                    why,
                    "Use boomerang distill on the command line, or remove the labels.",
                ));
            }
            let tokens = row.tokens().to_vec();
            read.n_tokens += tokens.len();
            read.n_unknown += n_unknown(&tokens, tokenizer);
            documents.push(tokens);
        }
        read.names.push(name);
    }
    Ok((documents, read))
}

pub(super) fn not_usable(why: String, next: &str) -> Notice {
    Notice::new("These texts cannot be used for training.", why, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_text_is_refused_with_the_position() {
        let notice = as_documents("a.txt", b"ab\xff").unwrap_err();
        assert!(notice.why.contains("a.txt, line 1, column 3"), "{}", notice.why);
    }

    #[test]
    fn tokens_of_files_are_counted_with_unknown_ones() {
        let tokenizer = boomerang_core::corpus::Corpus::new(5).tokenizer_json();
        let tokenizer = Tokenizer::from_json(tokenizer.as_bytes()).unwrap();
        let lines =
            b"{\"text\": \"zeppelin\"}\n{\"input_ids\": [3, 0], \"attention_mask\": [1, 0]}";
        let texts = [("a.txt", &b"\xef\xbb\xbf1 + 2"[..]), ("b.jsonl", &lines[..])];
        let texts =
            texts.map(|(name, bytes)| (name.to_owned(), as_documents(name, bytes).unwrap()));
        let (documents, read) = encode(texts.to_vec(), &tokenizer, tokenizer.n_tokens()).unwrap();
        assert_eq!(documents.len(), 3);
        assert_eq!(documents[2], [3]);
        assert_eq!((read.names.len(), read.n_unknown), (2, 1));
        assert_eq!(read.n_tokens, documents.iter().map(Vec::len).sum::<usize>());
    }

    #[test]
    fn labels_are_refused_where_they_would_be_ignored() {
        let tokenizer = boomerang_core::corpus::Corpus::new(5).tokenizer_json();
        let tokenizer = Tokenizer::from_json(tokenizer.as_bytes()).unwrap();
        let line = b"{\"input_ids\": [3, 4], \"labels\": [-100, 4]}";
        let text = ("a.jsonl".to_owned(), as_documents("a.jsonl", line).unwrap());
        let notice = encode(vec![text], &tokenizer, tokenizer.n_tokens()).unwrap_err();
        assert!(notice.why.contains("a.jsonl, line 1: labels are not read"), "{}", notice.why);
    }
}
