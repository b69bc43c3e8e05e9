//! Tokenizes documents and checks that the model has all tokens.

use super::{Content, Document, DocumentError, Location, MarkedText, Problem, TokenRow};
use crate::tokenizer::Tokenizer;

/// Tokenizes a text, with special tokens.
///
/// # Errors
/// [`DocumentError`] without a tokenizer, or if it produces a token outside the vocabulary.
pub fn encode(
    text: &str,
    from: &Location,
    tokenizer: Option<&Tokenizer>,
    vocab: usize,
) -> Result<Vec<u32>, DocumentError> {
    let tokenizer = tokenizer.ok_or_else(|| from.error(Problem::NoTokenizer))?;
    let tokens = tokenizer.encode(text, true);
    let tokens = tokens.map_err(|error| from.error(Problem::Tokenizer(error.to_string())))?;
    match outside(&tokens, vocab) {
        None => Ok(tokens),
        Some(index) => Err(from.error(Problem::OutsideVocabulary {
            token: tokens[index],
            index: None,
            last: vocab.saturating_sub(1),
        })),
    }
}

/// Tokenizes a text of which only parts are labels: the tokens that begin within them.
///
/// # Errors
/// As [`encode`].
pub fn encode_marked(
    marked: &MarkedText,
    from: &Location,
    tokenizer: Option<&Tokenizer>,
    vocab: usize,
) -> Result<TokenRow, DocumentError> {
    let tokenizer = tokenizer.ok_or_else(|| from.error(Problem::NoTokenizer))?;
    let encoded = tokenizer.encode_with_starts(&marked.text, marked.special);
    let (ids, starts) =
        encoded.map_err(|error| from.error(Problem::Tokenizer(error.to_string())))?;
    if let Some(index) = outside(&ids, vocab) {
        return Err(from.error(Problem::OutsideVocabulary {
            token: ids[index],
            index: None,
            last: vocab.saturating_sub(1),
        }));
    }
    let is_label = |start: Option<usize>| {
        start.is_some_and(|start| marked.responses.iter().any(|range| range.contains(&start)))
    };
    let is_label = starts.into_iter().map(is_label).collect();
    Ok(TokenRow { n_tokens: ids.len(), ids, is_label: Some(is_label) })
}

impl TokenRow {
    /// # Errors
    /// [`DocumentError`] for an id outside the vocabulary, even in padding, which is embedded as
    /// well.
    pub fn check_vocabulary(&self, from: &Location, vocab: usize) -> Result<(), DocumentError> {
        match outside(&self.ids, vocab) {
            None => Ok(()),
            Some(index) => Err(from.error(Problem::OutsideVocabulary {
                token: self.ids[index],
                index: Some(index),
                last: vocab.saturating_sub(1),
            })),
        }
    }

    /// # Errors
    /// [`DocumentError`] for a row that is longer than the model's window.
    pub fn check_window(&self, from: &Location, window: usize) -> Result<(), DocumentError> {
        let n_tokens = self.ids.len();
        if n_tokens > window {
            return Err(from.error(Problem::TooLong { n_tokens, window }));
        }
        Ok(())
    }
}

impl Document {
    /// The document as token ids, all of them in the model's vocabulary.
    ///
    /// # Errors
    /// As [`encode`] and [`TokenRow::check_vocabulary`].
    pub fn into_tokens(
        self,
        tokenizer: Option<&Tokenizer>,
        vocab: usize,
    ) -> Result<TokenRow, DocumentError> {
        match self.content {
            Content::Text(text) => {
                let ids = encode(&text, &self.from, tokenizer, vocab)?;
                Ok(TokenRow { n_tokens: ids.len(), ids, is_label: None })
            }
            Content::Completion(text) => encode_marked(&text, &self.from, tokenizer, vocab),
            Content::Conversation(_) => Err(self.from.error(Problem::NoTemplate)),
            Content::Tokens(row) => {
                row.check_vocabulary(&self.from, vocab)?;
                Ok(row)
            }
        }
    }
}

fn outside(tokens: &[u32], vocab: usize) -> Option<usize> {
    tokens.iter().position(|&token| token as usize >= vocab)
}
