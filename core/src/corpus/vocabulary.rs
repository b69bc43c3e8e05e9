//! Words and their token ids, also as a `tokenizer.json`.

use std::collections::HashMap;

use serde_json::json;

use super::names::Names;
use super::words;

pub(super) const PADDING: &str = "<pad>";
pub(super) const START: &str = "<s>";
/// Replaces words outside the vocabulary; never occurs in an item.
const UNKNOWN: &str = "<unk>";

/// Invariant: the words are distinct, and `ids` maps each to its index in `words`.
pub(super) struct Vocabulary {
    words: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    pub(super) fn new(names: &Names) -> Self {
        let names = names.towns.iter().chain(&names.people).cloned();
        let words: Vec<String> = fixed_words().map(String::from).chain(names).collect();
        let ids = words.iter().cloned().zip(0..).collect();
        Self { words, ids }
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// # Panics
    /// If the word is not in the vocabulary: items consist of words of the vocabulary only.
    pub(super) fn id(&self, word: &str) -> u32 {
        *self.ids.get(word).unwrap_or_else(|| panic!("{word:?} is not in the vocabulary"))
    }

    pub(super) fn word(&self, id: u32) -> &str {
        &self.words[id as usize]
    }

    pub(super) fn tokenizer_json(&self) -> String {
        let special_tokens = [PADDING, START, UNKNOWN].map(|token| {
            json!({
                "id": self.id(token),
                "content": token,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": true,
            })
        });
        let tokenizer = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": special_tokens,
            "normalizer": null,
            "pre_tokenizer": { "type": "WhitespaceSplit" },
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [
                    { "SpecialToken": { "id": START, "type_id": 0 } },
                    { "Sequence": { "id": "A", "type_id": 0 } },
                ],
                "pair": [
                    { "SpecialToken": { "id": START, "type_id": 0 } },
                    { "Sequence": { "id": "A", "type_id": 0 } },
                    { "Sequence": { "id": "B", "type_id": 0 } },
                ],
                "special_tokens": {
                    START: { "id": START, "ids": [self.id(START)], "tokens": [START] },
                },
            },
            "decoder": null,
            "model": { "type": "WordLevel", "vocab": self.ids, "unk_token": UNKNOWN },
        });
        tokenizer.to_string()
    }
}

/// The words that are common to all worlds, in the order of their ids; names follow.
pub(super) fn fixed_words() -> impl Iterator<Item = &'static str> {
    let pairs = words::BRACKETS.into_iter().chain(words::ANIMALS).chain(words::VERBS);
    [PADDING, START, UNKNOWN]
        .into_iter()
        .chain(words::MARKS)
        .chain(words::DIGITS)
        .chain(words::FRAME.split(' '))
        .chain(words::PREPOSITIONS)
        .chain(pairs.flat_map(|(one, other)| [one, other]))
        .chain(words::ADJECTIVES)
        .chain(words::SYLLABLES)
        .chain(words::RHYMES.into_iter().flatten())
        .chain(words::COLORS)
        .chain(words::JOBS)
        .chain(words::FOODS)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;
    use tokenizers::Tokenizer;

    use super::super::{Corpus, ItemKind, Stream};

    #[test]
    fn every_word_has_one_id() {
        let corpus = Corpus::new(1);
        let different: HashSet<&String> = corpus.vocabulary().iter().collect();
        assert_eq!(different.len(), corpus.vocabulary().len());
    }

    #[test]
    fn every_word_is_lower_case_and_without_white_space() {
        for word in Corpus::new(1).vocabulary() {
            assert!(!word.contains(|c: char| c.is_uppercase() || c.is_whitespace()), "{word:?}");
        }
    }

    #[test]
    fn padding_is_token_zero() {
        assert_eq!(Corpus::new(1).vocabulary()[0], "<pad>");
    }

    #[test]
    fn the_tokenizer_file_has_every_word_under_its_id() {
        let corpus = Corpus::new(1);
        let file: Value = serde_json::from_str(&corpus.tokenizer_json()).expect("it is JSON");
        for (id, word) in corpus.vocabulary().iter().enumerate() {
            assert_eq!(file["model"]["vocab"][word], id);
        }
    }

    #[test]
    fn the_tokenizer_gives_back_the_tokens_of_every_kind() {
        let corpus = Corpus::new(1);
        let tokenizer = Tokenizer::from_bytes(corpus.tokenizer_json()).expect("it is a tokenizer");
        for kind in ItemKind::ALL {
            let tokens = corpus.item_of(kind, &mut Stream::Rows.rng(1)).tokens;
            let text = corpus.text(&tokens);
            let encoding = tokenizer.encode(text.as_str(), false).expect("it encodes");
            assert_eq!(encoding.get_ids(), tokens);
            assert_eq!(tokenizer.decode(&tokens, false).expect("it decodes"), text);
        }
    }
}
