//! Text ⇄ token ids, as defined by a `tokenizer.json`.

mod words;
mod words_tests;

use thiserror::Error;
use tokenizers::models::ModelWrapper;
use tokenizers::{DecoderWrapper, Tokenizer as HuggingFaceTokenizer};
use words::WordCache;

/// A Hugging Face tokenizer that encodes deterministically.
///
/// Three settings that a `tokenizer.json` can retain from training are disabled: `padding`,
/// `truncation`, and BPE `dropout`. transformers applies the last one, so that the same text is
/// tokenized differently at each call.
///
/// The tokens of words are remembered where they cannot depend on the text around them. A clone
/// remembers its own.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: HuggingFaceTokenizer,
    words: Option<WordCache>,
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
        // Files saved after training may truncate and pad; positions must not depend on that.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| TokenizerError::Format(error.to_string()))?;
        if let ModelWrapper::BPE(model) = inner.get_model()
            && model.dropout.is_some()
        {
            let mut model = model.clone();
            model.dropout = None;
            inner.with_model(model);
        }
        let words = WordCache::new(&inner);
        Ok(Self { inner, words })
    }

    /// Token ids of a text.
    ///
    /// `special` adds the special tokens of the tokenizer's post-processor, such as Llama's BOS.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`].
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, TokenizerError> {
        if let Some(words) = &self.words
            && let Some(ids) = words.encode(&self.inner, text, special)?
        {
            return Ok(ids);
        }
        let encoding = self
            .inner
            // Without offsets, which take a third of the time.
            .encode_fast(text, special)
            .map_err(|error| TokenizerError::Encode(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// As [`Tokenizer::encode`], with the byte at which each token begins; `None` for special tokens that
    /// are added.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`].
    pub fn encode_with_starts(
        &self,
        text: &str,
        special: bool,
    ) -> Result<(Vec<u32>, Vec<Option<usize>>), TokenizerError> {
        let encoding = self
            .inner
            .encode(text, special)
            .map_err(|error| TokenizerError::Encode(error.to_string()))?;
        let added = encoding.get_special_tokens_mask().iter().map(|&flag| flag == 1);
        let starts = encoding.get_offsets().iter().zip(added);
        let starts = starts.map(|(&(start, _), added)| (!added).then_some(start)).collect();
        Ok((encoding.get_ids().to_vec(), starts))
    }

    /// As [`Tokenizer::encode`] with special tokens, together with a mask of the special ones.
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

    /// The text of some token ids, without special tokens.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`].
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(tokens, true).map_err(|error| TokenizerError::Decode(error.to_string()))
    }

    /// The text of some token ids, with special tokens.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`].
    pub fn decode_with_special(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(tokens, false).map_err(|error| TokenizerError::Decode(error.to_string()))
    }

    /// A printable label for a single token: its text; its name if it has no text, as special
    /// tokens; and `<0xE6>` for each byte of an incomplete character.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`].
    pub fn label(&self, token: u32) -> Result<String, TokenizerError> {
        let text = self.decode(&[token])?;
        if !text.is_empty() && !text.contains(char::REPLACEMENT_CHARACTER) {
            return Ok(text);
        }
        let name = self.token(token).unwrap_or_default();
        if text.is_empty() {
            return Ok(name);
        }
        // The name of a byte-fallback token already is the label of its byte.
        let bytes: Option<Vec<u8>> = name.chars().map(byte_of).collect();
        let Some(bytes) = bytes.filter(|_| !self.is_byte(token)) else { return Ok(name) };
        let shown = bytes.utf8_chunks().map(|chunk| {
            let rest: String =
                chunk.invalid().iter().map(|byte| format!("<0x{byte:02X}>")).collect();
            chunk.valid().to_owned() + &rest
        });
        Ok(shown.collect())
    }

    /// Whether [`Tokenizer::decode`] skips this token because it is special or does not exist.
    pub fn is_silent(&self, token: u32) -> bool {
        let special = self.inner.get_added_vocabulary();
        self.token(token).is_none_or(|token| special.is_special_token(&token))
    }

    /// Whether the token is a single byte such as `<0xE6>`, which the decoder joins with the bytes
    /// around it.
    pub fn is_byte(&self, token: u32) -> bool {
        let is_byte = |name: String| {
            let digits = name.strip_prefix("<0x").and_then(|name| name.strip_suffix('>'));
            digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
        };
        self.inner.get_decoder().is_some_and(joins_bytes) && self.token(token).is_some_and(is_byte)
    }

    /// The token string in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Vocabulary size, added tokens included.
    pub fn n_tokens(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

fn joins_bytes(decoder: &DecoderWrapper) -> bool {
    match decoder {
        DecoderWrapper::ByteFallback(_) => true,
        DecoderWrapper::Sequence(sequence) => sequence.get_decoders().iter().any(joins_bytes),
        _ => false,
    }
}

/// The byte that a character of a byte-level vocabulary represents. Unprintable bytes are mapped to
/// the characters from U+0100 on, in ascending order.
fn byte_of(char: char) -> Option<u8> {
    let is_itself = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u8::try_from(u32::from(char)) {
        Ok(byte) => Some(byte).filter(is_itself),
        Err(_) => {
            let number = u32::from(char) - 256;
            (0..=u8::MAX).filter(|byte| !is_itself(byte)).nth(number as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_of_a_character_is_shown_as_its_bytes() {
        // "é" is C3 A9, "東" E6 9D B1; the last token holds a whole character and part of another.
        let json = r#"{
            "added_tokens": [{"id": 5, "content": "<end>", "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false}],
            "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 1,
                "\u0120\u00c3": 2, "\u00e6\u013f\u00b1": 3, "\u00c3\u00a9\u00e6\u013f": 4, "<end>": 5}},
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false,
                "use_regex": false}}"#;
        let tokenizer = Tokenizer::from_json(json.as_bytes()).unwrap();
        let labels: Vec<String> = (1..6).map(|token| tokenizer.label(token).unwrap()).collect();
        assert_eq!(labels, ["a", " <0xC3>", "東", "é<0xE6><0x9D>", "<end>"]);
        assert_eq!(tokenizer.decode(&[1, 5]).unwrap(), "a");
        assert_eq!(tokenizer.decode_with_special(&[1, 5]).unwrap(), "a<end>");
        assert!(tokenizer.is_silent(5) && tokenizer.is_silent(99) && !tokenizer.is_silent(1));
    }

    #[test]
    fn a_byte_is_a_byte_only_to_a_decoder_that_joins_bytes() {
        let tokenizer = |decoder: &str| {
            let json = format!(
                r#"{{"model": {{"type": "WordLevel", "unk_token": "?", "vocab": {{"?": 0, "<0xE6>": 1,
                "<0xE>": 2}}}}, "decoder": {decoder}}}"#
            );
            Tokenizer::from_json(json.as_bytes()).unwrap()
        };
        let fallback =
            r#"{"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}"#;
        let (joined, plain) = (tokenizer(fallback), tokenizer("null"));
        assert!(joined.is_byte(1) && !joined.is_byte(2) && !plain.is_byte(1));
        assert_eq!(joined.label(1).unwrap(), "<0xE6>");
    }

    /// BPE that merges a, b and c into one token, with the settings that training leaves in a file.
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
    fn bpe_dropout_in_the_file_does_not_change_the_tokens() {
        let tokenizer = trained();
        for _ in 0..50 {
            assert_eq!(tokenizer.encode("abc abc", true).unwrap(), [4, 4]);
        }
    }

    #[test]
    fn truncation_and_padding_in_the_file_are_ignored() {
        let tokenizer = trained();
        assert_eq!(tokenizer.encode("abc", true).unwrap(), [4]);
        assert_eq!(tokenizer.encode_marked("abc abc abc").unwrap().0, [4, 4, 4]);
    }
}
