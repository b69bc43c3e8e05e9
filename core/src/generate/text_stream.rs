//! Text as its tokens arrive.

use crate::tokenizer::{Tokenizer, TokenizerError};

/// Turns tokens into pieces of text that, put together, are the text of all tokens.
///
/// A token alone has no text: a character may be spread over several, and some tokenizers write a
/// blank only between words. So each piece is what the text of a few last tokens grows by, and is
/// held back while its last character is incomplete.
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    /// Tokens whose text is known, for context, then those held back.
    recent: Vec<u32>,
    n_told: usize,
}

/// Enough context for any tokenizer's rule about blanks.
const N_CONTEXT: usize = 6;

impl<'a> TextStream<'a> {
    /// Goes on from `prompt`, whose own text is not told.
    pub fn new(tokenizer: &'a Tokenizer, prompt: &[u32]) -> Self {
        let recent = prompt[prompt.len().saturating_sub(N_CONTEXT)..].to_vec();
        Self { tokenizer, n_told: recent.len(), recent }
    }

    /// The text that this token completes; empty when it completes none.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`].
    pub fn push(&mut self, token: u32) -> Result<String, TokenizerError> {
        self.recent.push(token);
        let text = self.tokenizer.decode(&self.recent)?;
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        self.told(&text)
    }

    /// What is still held back.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`].
    pub fn finish(mut self) -> Result<String, TokenizerError> {
        let text = self.tokenizer.decode(&self.recent)?;
        self.told(&text)
    }

    fn told(&mut self, text: &str) -> Result<String, TokenizerError> {
        let before = self.tokenizer.decode(&self.recent[..self.n_told])?;
        let piece = text.strip_prefix(&before).unwrap_or_default().to_owned();
        let n_old = self.recent.len().saturating_sub(N_CONTEXT);
        self.recent.drain(..n_old);
        self.n_told = self.recent.len();
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words, and the two bytes of "é", in a byte-level vocabulary.
    const TOKENIZER: &str = r#"{
        "model": {"type": "WordLevel", "unk_token": "?", "vocab":
            {"?": 0, "a": 1, "\u0120b": 2, "\u00c3": 3, "\u00a9": 4}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}
    }"#;

    fn pieces(prompt: &[u32], tokens: &[u32]) -> Vec<String> {
        let tokenizer = Tokenizer::from_json(TOKENIZER.as_bytes()).unwrap();
        let mut stream = TextStream::new(&tokenizer, prompt);
        let mut pieces: Vec<String> =
            tokens.iter().map(|&token| stream.push(token).unwrap()).collect();
        pieces.push(stream.finish().unwrap());
        pieces
    }

    #[test]
    fn blanks_between_words_are_kept() {
        assert_eq!(pieces(&[1], &[2, 1, 2]), [" b", "a", " b", ""]);
    }

    #[test]
    fn a_character_waits_until_it_is_whole() {
        assert_eq!(pieces(&[1], &[3, 4, 1]), ["", "é", "a", ""]);
    }

    #[test]
    fn what_never_becomes_a_character_is_told_at_the_end() {
        assert_eq!(pieces(&[1], &[3]), ["", "\u{fffd}"]);
    }

    #[test]
    fn long_texts_need_no_more_context_than_short_ones() {
        let tokens: Vec<u32> = (0..100).map(|index| 1 + index % 2).collect();
        assert_eq!(pieces(&[1], &tokens).concat(), "a b".repeat(50));
    }
}
