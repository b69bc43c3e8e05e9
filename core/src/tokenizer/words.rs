//! A cache of the tokens of words, for tokenizers that encode each word independently.
//!
//! Byte-level tokenizers first split a text into words with a regular expression, and then encode each
//! word. Where every word ends can only be known by running that expression, which takes most of the
//! time; but between certain neighbors, such as a letter and a following space, *all* of the expressions
//! below end a word. A text is cut there, and the tokens of each piece are remembered: the
//! tokenizer itself only encodes pieces that it has not seen.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::Value;
use tokenizers::Tokenizer as HuggingFaceTokenizer;

use super::TokenizerError;

/// Pieces in the cache; a full cache is emptied, so that it follows the texts.
pub(super) const MOST_PIECES: usize = 1 << 17;
/// Longer pieces, in bytes, hardly occur twice.
const LONGEST_PIECE: usize = 32;

/// Expressions of `Split` pre-tokenizers that end a word wherever [`is_cut`] cuts: Llama 3, Qwen 2 and
/// GPT-2. In all of them an alternative that matches a letter, a digit or a punctuation mark continues
/// with characters of the same kind only (punctuation also with line breaks), none looks behind, and
/// contractions begin with an apostrophe.
pub(super) const EXPRESSIONS: [&str; 3] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
];

/// The cache of a tokenizer, and what it needs to know of it.
#[derive(Debug)]
pub(super) struct WordCache {
    added: AddedTokens,
    /// Special tokens before and after a text.
    around: [Vec<u32>; 2],
    pub(super) known: Mutex<Known>,
}

/// Tokens of pieces.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Ranges of `ids`.
    pub(super) pieces: HashMap<Box<str>, (u32, u32)>,
    ids: Vec<u32>,
}

/// Tokens that are found in a text before it is split.
#[derive(Clone, Debug)]
struct AddedTokens {
    contents: Vec<String>,
    /// A bit for each pair of bytes with which a token begins.
    beginnings: Vec<u64>,
    /// Whether some are looked for in the normalized text, where characters outside of ASCII can have
    /// become others.
    of_normalized: bool,
}

impl Clone for WordCache {
    /// Another empty cache, for another thread.
    fn clone(&self) -> Self {
        let known = Mutex::default();
        Self { added: self.added.clone(), around: self.around.clone(), known }
    }
}

impl WordCache {
    /// `None` for a tokenizer whose words are not known to end where texts are cut.
    pub(super) fn new(tokenizer: &HuggingFaceTokenizer) -> Option<Self> {
        let json = tokenizer.to_string(false).ok()?;
        let json: Value = serde_json::from_str(&json).ok()?;
        let is_known = splits_words(&json["pre_tokenizer"])
            && keeps_ends(&json["normalizer"])
            && only_adds(&json["post_processor"]);
        if !is_known {
            return None;
        }
        let added = AddedTokens::new(&json["added_tokens"], !json["normalizer"].is_null())?;
        let encode = |special| Some(tokenizer.encode_fast("a", special).ok()?.get_ids().to_vec());
        let (plain, all) = (encode(false)?, encode(true)?);
        let before = all.windows(plain.len().max(1)).position(|ids| ids == plain)?;
        let around = [all[..before].to_vec(), all[before + plain.len()..].to_vec()];
        Some(Self { added, around, known: Mutex::default() })
    }

    /// Token ids of a text; `None` where the tokenizer itself has to encode it: it contains an added
    /// token, or another thread uses the cache.
    ///
    /// # Errors
    /// [`TokenizerError::Encode`].
    pub(super) fn encode(
        &self,
        tokenizer: &HuggingFaceTokenizer,
        text: &str,
        special: bool,
    ) -> Result<Option<Vec<u32>>, TokenizerError> {
        if self.added.may_be_in(text) {
            return Ok(None);
        }
        let Ok(mut known) = self.known.try_lock() else { return Ok(None) };
        let [before, after] = &self.around;
        let mut ids = Vec::with_capacity(text.len() / 3 + before.len() + after.len());
        if special {
            ids.extend(before);
        }
        for piece in pieces(text) {
            known.push(piece, tokenizer, &mut ids)?;
        }
        if special {
            ids.extend(after);
        }
        Ok(Some(ids))
    }
}

impl Known {
    /// Appends the tokens of a piece.
    fn push(
        &mut self,
        piece: &str,
        tokenizer: &HuggingFaceTokenizer,
        ids: &mut Vec<u32>,
    ) -> Result<(), TokenizerError> {
        if let Some(&(start, end)) = self.pieces.get(piece) {
            ids.extend_from_slice(&self.ids[start as usize..end as usize]);
            return Ok(());
        }
        let encoded = tokenizer.encode_fast(piece, false);
        let encoded = encoded.map_err(|error| TokenizerError::Encode(error.to_string()))?;
        ids.extend_from_slice(encoded.get_ids());
        if piece.len() <= LONGEST_PIECE {
            if self.pieces.len() >= MOST_PIECES {
                *self = Self::default();
            }
            // At most as many tokens as bytes, of at most so many pieces: far below 2³².
            let start = self.ids.len() as u32;
            self.ids.extend_from_slice(encoded.get_ids());
            self.pieces.insert(piece.into(), (start, self.ids.len() as u32));
        }
        Ok(())
    }
}

impl AddedTokens {
    /// `None` where a token takes whitespace or word boundaries around it into account, or is too short
    /// to be looked for.
    fn new(tokens: &Value, is_normalized: bool) -> Option<Self> {
        let mut added =
            Self { contents: Vec::new(), beginnings: vec![0; 1 << 10], of_normalized: false };
        for token in tokens.as_array()? {
            let flag = |name: &str| token[name].as_bool();
            if flag("lstrip")? || flag("rstrip")? || flag("single_word")? {
                return None;
            }
            let content = token["content"].as_str()?;
            let beginning = content.as_bytes().first_chunk::<2>()?;
            let number = usize::from(u16::from_le_bytes(*beginning));
            added.beginnings[number / 64] |= 1 << (number % 64);
            added.of_normalized |= is_normalized && flag("normalized")?;
            added.contents.push(content.to_owned());
        }
        Some(added)
    }

    /// Whether the text contains a token, or could once it is normalized.
    fn may_be_in(&self, text: &str) -> bool {
        if self.of_normalized && !text.is_ascii() {
            return true;
        }
        let bytes = text.as_bytes();
        bytes.windows(2).enumerate().any(|(start, pair)| {
            let number = usize::from(u16::from_le_bytes([pair[0], pair[1]]));
            self.beginnings[number / 64] >> (number % 64) & 1 == 1
                && self.contents.iter().any(|token| bytes[start..].starts_with(token.as_bytes()))
        })
    }
}

/// The parts of a text between which every word ends.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let cut = rest.as_bytes().windows(2).position(|pair| is_cut(pair[0], pair[1]));
        // Both bytes are ASCII, so that the cut is between characters.
        let (piece, others) = rest.split_at(cut.map_or(rest.len(), |before| before + 1));
        rest = others;
        Some(piece)
    })
}

/// Whether every word ends between two neighboring bytes: after a letter or digit and before another
/// character of ASCII that is not an apostrophe, and after punctuation and before a space or tab.
fn is_cut(before: u8, after: u8) -> bool {
    if before.is_ascii_alphanumeric() {
        after.is_ascii() && !after.is_ascii_alphanumeric() && after != b'\''
    } else {
        before.is_ascii_punctuation() && matches!(after, b' ' | b'\t')
    }
}

/// Whether the pre-tokenizer ends words wherever texts are cut.
fn splits_words(pre_tokenizer: &Value) -> bool {
    // A space before the text would also be put before pieces.
    let is_byte_level = |it: &Value, has_expression: bool| {
        it["type"] == "ByteLevel"
            && it["add_prefix_space"] == false
            && it["use_regex"] == has_expression
    };
    if is_byte_level(pre_tokenizer, true) {
        return true;
    }
    let Some([first, second]) =
        pre_tokenizer["pretokenizers"].as_array().and_then(|them| them.as_array::<2>())
    else {
        return false;
    };
    let is_known = |it: &Value| EXPRESSIONS.iter().any(|expression| it == expression);
    match first["type"].as_str() {
        Some("Digits") => is_byte_level(second, true),
        Some("Split") => {
            is_known(&first["pattern"]["Regex"])
                && first["behavior"] == "Isolated"
                && first["invert"] == false
                && is_byte_level(second, false)
        }
        _ => false,
    }
}

/// Whether normalized parts of a text are its normalized text: without a normalizer, and with NFC, in
/// which ASCII composes with nothing before it.
fn keeps_ends(normalizer: &Value) -> bool {
    match normalizer["type"].as_str() {
        None => normalizer.is_null(),
        Some("NFC") => true,
        Some("Sequence") => {
            normalizer["normalizers"].as_array().is_some_and(|all| all.iter().all(keeps_ends))
        }
        Some(_) => false,
    }
}

/// Whether the post-processor only adds special tokens before and after a text.
fn only_adds(post_processor: &Value) -> bool {
    match post_processor["type"].as_str() {
        None => post_processor.is_null(),
        Some("ByteLevel" | "TemplateProcessing") => true,
        Some("Sequence") => {
            post_processor["processors"].as_array().is_some_and(|all| all.iter().all(only_adds))
        }
        Some(_) => false,
    }
}
