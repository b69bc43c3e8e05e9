//! Text ⇄ token ids, as `tokenizer.json` says.

use thiserror::Error;
use tokenizers::Tokenizer as HuggingFaceTokenizer;

/// A Hugging Face tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: HuggingFaceTokenizer,
}

/// Why a tokenizer cannot be used.
#[derive(Debug, Error)]
pub enum TokenizerError {
    #[error("not a tokenizer.json: {0}")]
    Format(String),
    #[error("the text cannot be encoded: {0}")]
    Encode(String),
    #[error("the tokens cannot be decoded: {0}")]
    Decode(String),
}

impl Tokenizer {
    /// # Errors
    /// [`TokenizerError::Format`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, TokenizerError> {
        let mut inner = HuggingFaceTokenizer::from_bytes(bytes)
            .map_err(|error| TokenizerError::Format(error.to_string()))?;
        // Files saved after training cut and pad by themselves; positions must not depend on that.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| TokenizerError::Format(error.to_string()))?;
        Ok(Self { inner })
    }

    /// Token ids of a text.
    ///
    /// `special` adds what the tokenizer puts around a text by itself, such as Llama's BOS.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`].
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self
            .inner
            .encode(text, special)
            .map_err(|error| TokenizerError::Encode(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// As [`Tokenizer::encode`] with special tokens, and which of the tokens they are.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`].
    pub fn encode_marked(&self, text: &str) -> Result<(Vec<u32>, Vec<bool>), TokenizerError> {
        let encoding = self
            .inner
            .encode(text, true)
            .map_err(|error| TokenizerError::Encode(error.to_string()))?;
        let is_special = encoding.get_special_tokens_mask().iter().map(|&flag| flag == 1).collect();
        Ok((encoding.get_ids().to_vec(), is_special))
    }

    /// The text of some token ids, special tokens left out.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`].
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(tokens, true).map_err(|error| TokenizerError::Decode(error.to_string()))
    }

    /// A token as it stands in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Number of tokens, added ones included.
    pub fn n_tokens(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}
