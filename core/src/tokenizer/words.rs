//! A cache of the tokens of words, for tokenizers that encode each word independently.
//!
//! Byte-level tokenizers first split a text into words with a regular expression, and then encode each
//! word. Where every word ends can only be known by running that expression, which takes most of the
//! time; but between certain neighbors, such as a letter and a following space, it *always* ends a word.
//! A text is cut there, and the tokens of each piece are remembered: the tokenizer itself only encodes
//! pieces that it has not seen.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::Value;
use tokenizers::{AddedToken, Tokenizer as HuggingFaceTokenizer};

use super::TokenizerError;

/// Pieces in the cache; a full cache is emptied, so that it follows the texts.
pub(super) const MOST_PIECES: usize = 1 << 17;
/// Longer pieces, in bytes, hardly occur twice.
const LONGEST_PIECE: usize = 32;

/// Expressions of `Split` pre-tokenizers that are known, and how they end words: Llama 3, Qwen 2, GPT-2.
pub(super) const EXPRESSIONS: [(&str, Splitting); 3] = [
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Splitting::MarksJoinWords,
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Splitting::MarksJoinWords,
    ),
    (
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        Splitting::MarksStandAlone,
    ),
];

/// How an expression treats what is neither letter, digit nor whitespace, called marks here.
///
/// Of both kinds, letters, digits and marks end where another of the three or a space begins, none
/// looks behind, and contractions begin with an apostrophe. Whitespace looks ahead, so that nothing is
/// cut after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Splitting {
    /// As GPT-2: a mark ends before a letter, unless it begins a contraction, and before a line break.
    MarksStandAlone,
    /// As Llama 3: a mark can be the first character of a word, and line breaks belong to the marks
    /// before them.
    MarksJoinWords,
}

/// The cache of a tokenizer, and what it needs to know of it.
#[derive(Debug)]
pub(super) struct WordCache {
    splitting: Splitting,
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
        let (added, around) = (self.added.clone(), self.around.clone());
        Self { splitting: self.splitting, added, around, known }
    }
}

impl WordCache {
    /// `None` for a tokenizer whose words are not known to end where texts are cut.
    pub(super) fn new(tokenizer: &HuggingFaceTokenizer) -> Option<Self> {
        // As their JSON, which has what the library itself keeps private; the vocabulary stays out.
        let splitting = Splitting::of(&serde_json::to_value(tokenizer.get_pre_tokenizer()).ok()?)?;
        let normalizer = serde_json::to_value(tokenizer.get_normalizer()).ok()?;
        let post_processor = serde_json::to_value(tokenizer.get_post_processor()).ok()?;
        if !keeps_ends(&normalizer) || !only_adds(&post_processor) {
            return None;
        }
        let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
        let added = AddedTokens::new(added.values(), !normalizer.is_null())?;
        let encode = |special| Some(tokenizer.encode_fast("a", special).ok()?.get_ids().to_vec());
        let (plain, all) = (encode(false)?, encode(true)?);
        let before = all.windows(plain.len().max(1)).position(|ids| ids == plain)?;
        let around = [all[..before].to_vec(), all[before + plain.len()..].to_vec()];
        Some(Self { splitting, added, around, known: Mutex::default() })
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
        for piece in pieces(text, self.splitting) {
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
    fn new<'a>(tokens: impl Iterator<Item = &'a AddedToken>, is_normalized: bool) -> Option<Self> {
        let mut added =
            Self { contents: Vec::new(), beginnings: vec![0; 1 << 10], of_normalized: false };
        for token in tokens {
            if token.lstrip || token.rstrip || token.single_word {
                return None;
            }
            let beginning = token.content.as_bytes().first_chunk::<2>()?;
            let number = usize::from(u16::from_le_bytes(*beginning));
            added.beginnings[number / 64] |= 1 << (number % 64);
            added.of_normalized |= is_normalized && token.normalized;
            added.contents.push(token.content.clone());
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
pub(super) fn pieces(text: &str, splitting: Splitting) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let cut = rest.as_bytes().windows(2).position(|pair| splitting.is_cut(pair[0], pair[1]));
        // Both bytes are ASCII, so that the cut is between characters.
        let (piece, others) = rest.split_at(cut.map_or(rest.len(), |before| before + 1));
        rest = others;
        Some(piece)
    })
}

/// A kind of character, for ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Digit,
    Mark,
    /// Space and tab.
    Blank,
    LineBreak,
    /// Outside of ASCII, or not the same kind to everyone.
    Other,
}

/// The kind of each byte.
const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Other; 256];
    let mut byte = 0;
    while byte < 128 {
        kinds[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Kind::Letter,
            b'0'..=b'9' => Kind::Digit,
            b' ' | b'\t' => Kind::Blank,
            b'\n' | b'\r' => Kind::LineBreak,
            b'!'..=b'~' => Kind::Mark,
            _ => Kind::Other,
        };
        byte += 1;
    }
    kinds
};

impl Splitting {
    /// Whether every word ends between two neighboring bytes.
    fn is_cut(self, before: u8, after: u8) -> bool {
        let stands_alone = self == Self::MarksStandAlone;
        match (KINDS[usize::from(before)], KINDS[usize::from(after)]) {
            (Kind::Letter | Kind::Digit | Kind::Mark, Kind::Blank)
            | (Kind::Letter | Kind::Digit, Kind::LineBreak | Kind::Mark)
            | (Kind::Letter | Kind::Mark, Kind::Digit)
            | (Kind::Digit, Kind::Letter) => true,
            (Kind::Mark, Kind::Letter) => stands_alone && before != b'\'',
            (Kind::Mark, Kind::LineBreak) => stands_alone,
            _ => false,
        }
    }

    /// How the pre-tokenizer ends words; `None` where that is not known.
    fn of(pre_tokenizer: &Value) -> Option<Self> {
        // A space before the text would also be put before pieces.
        let is_byte_level = |it: &Value, has_expression: bool| {
            it["type"] == "ByteLevel"
                && it["add_prefix_space"] == false
                && it["use_regex"] == has_expression
        };
        if is_byte_level(pre_tokenizer, true) {
            return Some(Self::MarksStandAlone);
        }
        let [first, second] = pre_tokenizer["pretokenizers"].as_array()?.as_array::<2>()?;
        match first["type"].as_str()? {
            "Digits" => is_byte_level(second, true).then_some(Self::MarksStandAlone),
            "Split" if first["behavior"] == "Isolated" && first["invert"] == false => {
                let expression = first["pattern"]["Regex"].as_str()?;
                let known = EXPRESSIONS.iter().find(|(known, _)| *known == expression)?;
                is_byte_level(second, false).then_some(known.1)
            }
            _ => None,
        }
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
