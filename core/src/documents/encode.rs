//! Tokenizes documents and checks that the model has all tokens.

use super::{Content, Document, DocumentError, Location, Problem, TokenRow};
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
