//! Text ⇄ token ids, as `tokenizer.json` says.

use thiserror::Error;
use tokenizers::Tokenizer as HuggingFaceTokenizer;
use tokenizers::models::ModelWrapper;

/// A Hugging Face tokenizer that gives a text the same tokens every time.
///
/// Three settings that a `tokenizer.json` can keep from its training are left out: `padding` and
/// `truncation`, and the `dropout` of BPE, which transformers obeys: there the same text has other
/// tokens at each call.
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
        if let ModelWrapper::BPE(model) = inner.get_model()
            && model.dropout.is_some()
        {
            let mut model = model.clone();
            model.dropout = None;
            inner.with_model(model);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// BPE that merges a, b and c to one token, with settings as they are kept after training.
    fn trained() -> Tokenizer {
        let json = r#"{"version": "1.0", "added_tokens": [], "normalizer": null,
            "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst",
                "stride": 0},
            "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "a"},
            "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "Removed",
                "invert": false},
            "post_processor": null, "decoder": null,
            "model": {"type": "BPE", "dropout": 0.5, "unk_token": null,
                "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
                "byte_fallback": false, "ignore_merges": false,
                "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4},
                "merges": [["a", "b"], ["ab", "c"]]}}"#;
        Tokenizer::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn dropout_that_a_file_keeps_from_its_training_does_not_change_the_tokens() {
        let tokenizer = trained();
        for _ in 0..50 {
            assert_eq!(tokenizer.encode("abc abc", true).unwrap(), [4, 4]);
        }
    }

    #[test]
    fn texts_are_neither_cut_nor_padded_as_the_file_says() {
        let tokenizer = trained();
        assert_eq!(tokenizer.encode("abc", true).unwrap(), [4]);
        assert_eq!(tokenizer.encode_marked("abc abc abc").unwrap().0, [4, 4, 4]);
    }
}
