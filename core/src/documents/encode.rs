//! Documents as tokens that the model has.

use super::{Content, Document, DocumentError, Location, Problem, TokenRow};
use crate::tokenizer::Tokenizer;

/// The tokens of a text, special ones included.
///
/// # Errors
/// [`DocumentError`] without a tokenizer, or when it gives a token outside the vocabulary.
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
    /// [`DocumentError`] for an id outside the vocabulary, in padding too: models look it up there
    /// as well.
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
    /// [`DocumentError`] for a row that a model of this window cannot read at once.
    pub fn check_window(&self, from: &Location, window: usize) -> Result<(), DocumentError> {
        let n_tokens = self.ids.len();
        if n_tokens > window {
            return Err(from.error(Problem::TooLong { n_tokens, window }));
        }
        Ok(())
    }
}

impl Document {
    /// As a row of ids that are all tokens of the model, however it came.
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
