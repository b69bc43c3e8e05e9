//! Remembered words, against the tokenizer itself.

#![cfg(test)]

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::words::*;
use super::{Tokenizer, byte_of};

const BYTE_LEVEL: &str = r#"{"type": "ByteLevel", "add_prefix_space": false,
    "trim_offsets": false, "use_regex": true}"#;

/// Characters whose pairs are tokens, so that a wrong cut would change the tokens.
const PAIRED: [char; 14] =
    ['a', 'B', 's', '1', '2', ' ', '\n', '\r', '\t', '.', '(', '\'', '_', '\u{a0}'];

/// A byte-level tokenizer with all pairs of [`PAIRED`] as tokens.
fn tokenizer(pre_tokenizer: &Value, normalizer: &Value, normalized: bool) -> Tokenizer {
    let chars: Vec<char> = ('\0'..'\u{200}').filter(|it| byte_of(*it).is_some()).collect();
    let of_byte = |byte: u8| *chars.iter().find(|it| byte_of(**it) == Some(byte)).unwrap();
    let mut vocab: Vec<String> = chars.iter().map(char::to_string).collect();
    let mut merges = Vec::new();
    for (first, second) in PAIRED.iter().flat_map(|a| PAIRED.map(|b| (*a, b))) {
        let bytes: Vec<u8> = format!("{first}{second}").into_bytes();
        // Pairs of one byte each; U+00A0 stands in for characters of several.
        if let [first, second] = bytes[..] {
            let pair = [of_byte(first).to_string(), of_byte(second).to_string()];
            vocab.push(pair.concat());
            merges.push(pair);
        }
    }
    let vocab: HashMap<&String, usize> = vocab.iter().zip(0..).collect();
    let n_tokens = vocab.len();
    let added = |id: usize, content: &str| {
        json!({"id": id, "content": content, "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": normalized})
    };
    let json = json!({
        "added_tokens": [added(n_tokens, "<|a_B|>"), added(n_tokens + 1, "<s>")],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [n_tokens + 1], "tokens": ["<s>"]}}},
        "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": merges},
    });
    Tokenizer::from_json(json.to_string().as_bytes()).unwrap()
}

fn pre_tokenizers() -> Vec<Value> {
    let byte_level: Value = serde_json::from_str(BYTE_LEVEL).unwrap();
    let mut plain = byte_level.clone();
    plain["use_regex"] = json!(false);
    let pair = |first: Value, second: &Value| json!({"type": "Sequence", "pretokenizers": [first, second]});
    let split = EXPRESSIONS.map(|(expression, _)| {
        let split = json!({"type": "Split", "pattern": {"Regex": expression},
            "behavior": "Isolated", "invert": false});
        pair(split, &plain)
    });
    let digits = json!({"type": "Digits", "individual_digits": true});
    let mut all = vec![byte_level.clone(), pair(digits, &byte_level)];
    all.extend(split);
    all
}

fn texts() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        8 => proptest::sample::select(PAIRED.to_vec()),
        1 => proptest::sample::select(vec!['é', '\u{301}', '東', '\u{212a}', '\0', '<']),
    ];
    let part = prop_oneof![
        12 => char.prop_map(String::from),
        1 => Just("<|a_B|>".to_owned()),
        1 => Just("'ll".to_owned()),
    ];
    proptest::collection::vec(part, 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tokens_are_those_of_the_tokenizer_itself(texts in proptest::collection::vec(texts(), 1..4)) {
        for pre_tokenizer in pre_tokenizers() {
            for normalizer in [Value::Null, json!({"type": "NFC"})] {
                let tokenizer = tokenizer(&pre_tokenizer, &normalizer, !normalizer.is_null());
                prop_assert!(tokenizer.words.is_some());
                for (text, special) in texts.iter().flat_map(|text| [(text, true), (text, false)]) {
                    let itself = tokenizer.inner.encode_fast(text.as_str(), special).unwrap();
                    let ids = tokenizer.encode(text, special).unwrap();
                    prop_assert_eq!(ids, itself.get_ids(), "{}", &pre_tokenizer);
                }
            }
        }
    }
}

#[test]
fn a_text_is_cut_into_words_and_what_follows_them() {
    let text = "don't stop(a.b)  now,\n  or x12.5\u{a0}x";
    let alone: Vec<&str> = pieces(text, Splitting::MarksStandAlone).collect();
    assert_eq!(
        alone,
        [
            "don", "'t", " stop", "(", "a", ".", "b", ")", "  now", ",", "\n  or", " x", "12", ".",
            "5\u{a0}x"
        ]
    );
    let joined: Vec<&str> = pieces(text, Splitting::MarksJoinWords).collect();
    assert_eq!(
        joined,
        ["don", "'t", " stop", "(a", ".b", ")", "  now", ",\n  or", " x", "12", ".", "5\u{a0}x"]
    );
}

#[test]
fn a_space_before_the_text_would_be_put_before_pieces() {
    let mut pre_tokenizer: Value = serde_json::from_str(BYTE_LEVEL).unwrap();
    pre_tokenizer["add_prefix_space"] = json!(true);
    assert!(tokenizer(&pre_tokenizer, &Value::Null, false).words.is_none());
}

#[test]
fn a_full_cache_is_emptied() {
    let pre_tokenizer: Value = serde_json::from_str(BYTE_LEVEL).unwrap();
    let tokenizer = tokenizer(&pre_tokenizer, &Value::Null, false);
    let words = tokenizer.words.as_ref().unwrap();
    let text: String = (0..=MOST_PIECES).map(|number| format!(" {number}")).collect();
    words.encode(&tokenizer.inner, &text, false).unwrap();
    assert_eq!(words.known.lock().unwrap().pieces.len(), 1);
}
