//! Why a file cannot be read as documents.

use thiserror::Error;

use super::Location;

/// A problem and its location.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{at}: {problem}")]
pub struct DocumentError {
    pub at: Location,
    pub problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    #[error(
        "expected a file extension .txt, .text or .md (one document), .jsonl or .ndjson (one \
         document per line) or .json; found {}",
        if .0.is_empty() { "none".to_owned() } else { format!(".{}", .0) }
    )]
    Ending(String),
    #[error("the file {0}; expected text in UTF-8")]
    Encoding(&'static str),
    #[error("the byte 0x{0:02x} is not UTF-8; save the file as UTF-8")]
    NotUtf8(u8),
    #[error("found a zero byte; expected UTF-8 text (the file may be UTF-16 or binary)")]
    NotText,
    #[error("not JSON: expected {expected}, found {found}")]
    Syntax { expected: &'static str, found: String },
    #[error("expected an object, such as {{\"text\": \"…\"}}, found {0}")]
    NotAnObject(&'static str),
    #[error("the key {0:?} occurs twice")]
    Twice(&'static str),
    #[error("expected \"text\", \"messages\", \"prompt\" or \"input_ids\"; found {0}")]
    NoText(String),
    #[error("found both {0:?} and {1:?} in one document; remove one of them")]
    Several(&'static str, &'static str),
    #[error("found \"prompt\" without \"completion\"")]
    NoCompletion,
    #[error("no message has the role \"assistant\", so that there is nothing to learn")]
    NoResponse,
    #[error("a conversation requires a chat template next to the model; it has none")]
    NoTemplate,
    #[error("{0}")]
    Template(String),
    #[error("{what} is {found}; expected {expected}")]
    Type { what: String, expected: &'static str, found: String },
    #[error("{key} has {found} values; expected one for each of the {expected} input_ids")]
    Length { key: &'static str, expected: usize, found: usize },
    #[error(
        "attention_mask is 0 at index {index}, between tokens where it is 1; only padding before \
         or after a text can be masked"
    )]
    Hole { index: usize },
    #[error(
        "labels[{index}] is {found}; expected {expected}, the input id, or -100 for a token that \
         is not a target (labels are not shifted)"
    )]
    Label { index: usize, found: i64, expected: u32 },
    #[error("{0:?} is not supported; use labels, with -100 for tokens that are not targets")]
    LossMask(&'static str),
    #[error("the file is empty")]
    Empty,
    #[error("all documents are empty")]
    NothingUsable,
    #[error(
        "masked language models are evaluated on \"text\"; found \"input_ids\", which do not mark \
         special tokens"
    )]
    IdsForMasked,
    #[error("text requires a tokenizer.json next to the model")]
    NoTokenizer,
    #[error("{0}")]
    Tokenizer(String),
    #[error(
        "token {token}{} is outside the model's vocabulary (0 to {last}); check that the tokenizer \
         belongs to the model",
        match index {
            Some(index) => format!(" at input_ids[{index}]"),
            None => String::new(),
        }
    )]
    OutsideVocabulary { token: u32, index: Option<usize>, last: usize },
    #[error(
        "{n_tokens} input_ids, but the model's window has {window} positions; truncate the row"
    )]
    TooLong { n_tokens: usize, window: usize },
}
