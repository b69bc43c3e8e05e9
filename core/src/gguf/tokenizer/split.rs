//! Recognizes pre-tokenizers and maps them to llama.cpp's names.

use serde_json::{Value, json};

use super::{Kind, refusal, steps};
use crate::gguf::GgufError;

/// Pre-tokenizer steps, `ignore_merges`, and llama.cpp's name.
const SPLITS: [(&[Step], bool, &str); 5] = [
    (&[Step::Regex(LLAMA3), Step::Bytes], true, "llama-bpe"),
    (&[Step::Regex(LLAMA3), Step::Bytes], false, "dbrx"),
    (&[Step::Regex(QWEN2), Step::Bytes], false, "qwen2"),
    (&[Step::SplitBytes], false, "gpt-2"),
    (&[Step::Digits, Step::SplitBytes], false, "smollm"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Regex(&'static str),
    /// Splits digits individually.
    Digits,
    /// Maps bytes to characters.
    Bytes,
    /// Maps bytes to characters and splits by GPT-2's pattern.
    SplitBytes,
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
pub(super) const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The pre-tokenizer of a name, whether a word that is a token needs no merges, and its normalizer; the
/// reverse of [`split_name`].
pub(super) fn pre_tokenizer(name: &str) -> Option<(Vec<Value>, bool, Value)> {
    // Other names for the same.
    let name = match name {
        "llama3" | "llama-v3" => "llama-bpe",
        "smollm" | "smollm2" => "smollm",
        "gpt2" => "gpt-2",
        other => other,
    };
    let (steps, ignore_merges, _) = SPLITS.iter().find(|row| row.2 == name)?;
    let bytes = |use_regex: bool| {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": use_regex})
    };
    let step = |step: &Step| match step {
        Step::Regex(regex) => json!({"type": "Split", "pattern": {"Regex": regex},
            "behavior": "Isolated", "invert": false}),
        Step::Digits => json!({"type": "Digits", "individual_digits": true}),
        Step::Bytes => bytes(false),
        Step::SplitBytes => bytes(true),
    };
    let normalizer = if name == "qwen2" { json!({"type": "NFC"}) } else { Value::Null };
    Some((steps.iter().map(step).collect(), *ignore_merges, normalizer))
}

/// llama.cpp does not normalize before byte-level merges. NFC is accepted, as in its converter.
pub(super) fn refuse_normalizer(normalizer: &Value) -> Result<(), GgufError> {
    match steps(normalizer).into_iter().find(|step| step["type"] != "NFC") {
        None => Ok(()),
        Some(step) => Err(refusal(format!("its normalizer {} is not supported", step["type"]))),
    }
}

pub(super) fn split_name(kind: &Kind) -> Option<&'static str> {
    let known = |step: &Value| match step["type"].as_str()? {
        "Split" if step["behavior"] == "Isolated" && step["invert"] != true => {
            let found = step["pattern"]["Regex"].as_str()?;
            [LLAMA3, QWEN2].into_iter().find(|regex| *regex == found).map(Step::Regex)
        }
        "Digits" if step["individual_digits"] == true => Some(Step::Digits),
        "ByteLevel" if step["add_prefix_space"] == true => None,
        "ByteLevel" if step["use_regex"] == false => Some(Step::Bytes),
        "ByteLevel" => Some(Step::SplitBytes),
        _ => None,
    };
    let found: Option<Vec<Step>> = steps(&kind.pre_tokenizer).into_iter().map(known).collect();
    let found = found?;
    let matches_row =
        |row: &&(&[Step], bool, &'static str)| row.0 == found && row.1 == kind.model.ignore_merges;
    SPLITS.iter().find(matches_row).map(|row| row.2)
}

/// Whether a SentencePiece-style tokenizer adds a space before a text.
pub(super) fn sentence_piece_prefix(kind: &Kind) -> Result<bool, GgufError> {
    if !kind.model.byte_fallback {
        return Err(refusal("it is neither byte-level nor has byte_fallback"));
    }
    let mut has_prefix = false;
    let mut marks_spaces = false;
    for step in steps(&kind.normalizer).into_iter().chain(steps(&kind.pre_tokenizer)) {
        match step["type"].as_str() {
            Some("Prepend") if step["prepend"] == "▁" => has_prefix = true,
            Some("Replace") if step["content"] == "▁" && step["pattern"]["String"] == " " => {
                marks_spaces = true;
            }
            Some("Metaspace") => {
                marks_spaces = true;
                has_prefix |= match step["prepend_scheme"].as_str() {
                    Some(scheme) => scheme != "never",
                    None => step["add_prefix_space"] != false,
                };
            }
            // Gemma's: no effect, since spaces are already replaced.
            Some("Split") if step["pattern"]["String"] == " " => {}
            other => {
                let step = other.unwrap_or("a step without a type");
                return Err(refusal(format!(
                    "its normalizer or pre-tokenizer {step} is not supported"
                )));
            }
        }
    }
    if marks_spaces { Ok(has_prefix) } else { Err(refusal("it does not replace spaces with ▁")) }
}
