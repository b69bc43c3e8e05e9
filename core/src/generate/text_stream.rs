//! Incremental detokenization.

use crate::tokenizer::{Tokenizer, TokenizerError};

/// Turns tokens into pieces of text that concatenate to the text of all tokens.
///
/// A token cannot be decoded individually: a character may span several tokens, and some tokenizers
/// put a space only between words. So each piece is what a new token adds to the text of the last
/// few tokens, and is held back while a later token can still change it: while its last character
/// is incomplete, and during a run of single bytes (`<0xE6>`), which is decoded as a whole.
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    /// Tokens already returned, as context, then those held back; without silent tokens.
    recent: Vec<u32>,
    n_returned: usize,
}

/// Enough context for any tokenizer's whitespace rule.
const N_CONTEXT: usize = 6;

impl<'a> TextStream<'a> {
    /// Continues `prompt`, whose own text is not returned.
    pub fn new(tokenizer: &'a Tokenizer, prompt: &[u32]) -> Self {
        let has_text = |token: &u32| !tokenizer.is_silent(*token);
        let recent: Vec<u32> = prompt.iter().copied().filter(has_text).collect();
        let mut stream = Self { tokenizer, n_returned: recent.len(), recent };
        stream.drop_context();
        stream
    }

    /// The text that this token completes; empty if it completes none.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`].
    pub fn push(&mut self, token: u32) -> Result<String, TokenizerError> {
        if self.tokenizer.is_silent(token) {
            return Ok(String::new());
        }
        self.recent.push(token);
        if self.tokenizer.is_byte(token) {
            return Ok(String::new());
        }
        let text = self.tokenizer.decode(&self.recent)?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        let piece = self.grown(&text)?;
        self.n_returned = self.recent.len();
        self.drop_context();
        Ok(piece)
    }

    /// The text that is still held back.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`].
    pub fn finish(self) -> Result<String, TokenizerError> {
        self.grown(&self.tokenizer.decode(&self.recent)?)
    }

    /// The part of `text`, of all recent tokens, after the text already returned.
    fn grown(&self, text: &str) -> Result<String, TokenizerError> {
        let before = self.tokenizer.decode(&self.recent[..self.n_returned])?;
        // They differ only if a prompt ends in a run of bytes that later ones make invalid.
        let same = before.chars().zip(text.chars()).take_while(|(before, now)| before == now);
        let n_same = same.map(|(char, _)| char.len_utf8()).sum();
        Ok(text[n_same..].to_owned())
    }

    /// Drops context that is not needed; the rest does not start within a run of bytes.
    fn drop_context(&mut self) {
        let mut start = self.n_returned.saturating_sub(N_CONTEXT);
        while start > 0 && self.tokenizer.is_byte(self.recent[start]) {
            start -= 1;
        }
        self.recent.drain(..start);
        self.n_returned -= start;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words, and the two bytes of "é", in a byte-level vocabulary.
    const TOKENIZER: &str = r#"{
        "model": {"type": "WordLevel", "unk_token": "?", "vocab":
            {"?": 0, "a": 1, "\u0120b": 2, "\u00c3": 3, "\u00a9": 4}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}
    }"#;

    fn pieces(tokenizer: &Tokenizer, prompt: &[u32], tokens: &[u32]) -> Vec<String> {
        let mut stream = TextStream::new(tokenizer, prompt);
        let mut pieces: Vec<String> =
            tokens.iter().map(|&token| stream.push(token).unwrap()).collect();
        pieces.push(stream.finish().unwrap());
        pieces
    }

    fn words(prompt: &[u32], tokens: &[u32]) -> Vec<String> {
        pieces(&Tokenizer::from_json(TOKENIZER.as_bytes()).unwrap(), prompt, tokens)
    }

    #[test]
    fn blanks_between_words_are_kept() {
        assert_eq!(words(&[1], &[2, 1, 2]), [" b", "a", " b", ""]);
    }

    #[test]
    fn a_character_is_held_back_until_it_is_complete() {
        assert_eq!(words(&[1], &[3, 4, 1]), ["", "é", "a", ""]);
    }

    #[test]
    fn an_incomplete_character_is_returned_at_the_end() {
        assert_eq!(words(&[1], &[3]), ["", "\u{fffd}"]);
    }

    #[test]
    fn long_texts_need_no_more_context_than_short_ones() {
        let tokens: Vec<u32> = (0..100).map(|index| 1 + index % 2).collect();
        assert_eq!(words(&[1], &tokens).concat(), "a b".repeat(50));
    }

    /// Token 0 is special, 1 to 3 are words, one with a leading space and one with a single
    /// character; the byte b is token 4 + b.
    fn with_every_byte(name: impl Fn(u8) -> String, words: [&str; 3], decoder: &str) -> Tokenizer {
        let names = ["<s>"].into_iter().chain(words).map(str::to_owned);
        let names = names.chain((0..=u8::MAX).map(name));
        let vocab: serde_json::Map<String, serde_json::Value> =
            names.enumerate().map(|(id, name)| (name, id.into())).collect();
        let json = serde_json::json!({
            "added_tokens": [{"id": 0, "content": "<s>", "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false}],
            "model": {"type": "WordLevel", "unk_token": "<s>", "vocab": vocab},
            "decoder": serde_json::from_str::<serde_json::Value>(decoder).unwrap(),
        });
        Tokenizer::from_json(json.to_string().as_bytes()).unwrap()
    }

    fn byte_level() -> Tokenizer {
        let is_itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let name = |byte: u8| {
            let number = (0..byte).filter(|&other| !is_itself(other)).count();
            let code = if is_itself(byte) { u32::from(byte) } else { 256 + number as u32 };
            char::from_u32(code).unwrap().to_string()
        };
        let decoder = r#"{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false,
            "use_regex": false}"#;
        with_every_byte(name, ["ab", "\u{120}c", "\u{e6}\u{13f}\u{b1}"], decoder)
    }

    /// As Llama 2 decodes.
    fn byte_fallback() -> Tokenizer {
        let decoder = r#"{"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}"#;
        with_every_byte(|byte| format!("<0x{byte:02X}>"), ["ab", "▁c", "東"], decoder)
    }

    /// Words, special tokens, whole characters as bytes, and random bytes.
    fn tokens() -> impl Strategy<Value = Vec<u32>> {
        let of_bytes = |text: &str| text.bytes().map(|byte| 4 + u32::from(byte)).collect();
        let some = prop_oneof![
            4 => (0_u32..4).prop_map(|word| vec![word]),
            4 => "[é東🙂� a]{1,3}".prop_map(move |text| of_bytes(&text)),
            1 => (0_u32..256).prop_map(|byte| vec![4 + byte]),
        ];
        prop::collection::vec(some, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn pieces_are_the_text_of_all_tokens_and_are_never_taken_back(
            prompt in tokens(),
            tokens in tokens(),
        ) {
            for tokenizer in [byte_level(), byte_fallback()] {
                let all = tokenizer.decode(&[&*prompt, &*tokens].concat()).unwrap();
                let before = tokenizer.decode(&prompt).unwrap();
                // A prompt whose own text changes with what follows has no continuation in text.
                let Some(expected) = all.strip_prefix(&*before) else { continue };
                let mut shown = String::new();
                for (number, piece) in pieces(&tokenizer, &prompt, &tokens).iter().enumerate() {
                    shown += piece;
                    prop_assert!(expected.starts_with(&shown), "{number}: {shown:?} of {expected:?}");
                }
                prop_assert_eq!(&shown, expected);
            }
        }
    }

    #[test]
    fn characters_of_several_tokens_are_complete_in_both_kinds_of_tokenizers() {
        let of_bytes =
            |text: &str| -> Vec<u32> { text.bytes().map(|byte| 4 + u32::from(byte)).collect() };
        for tokenizer in [byte_level(), byte_fallback()] {
            let pieces = pieces(&tokenizer, &[1], &of_bytes("aé b東c🙂d!"));
            assert_eq!(pieces.concat(), "aé b東c🙂d!");
            assert!(pieces.iter().all(|piece| !piece.contains('\u{fffd}')), "{pieces:?}");
        }
    }
}
