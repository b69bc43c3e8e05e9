//! Reads texts and token ids from files, for all commands and the page.
//!
//! The format is determined by the file extension, in upper or lower case: a `.txt`, `.text` or
//! `.md` file is one document, or one per line if the caller asks for that; a `.jsonl` or `.ndjson`
//! file has one document per line, and a `.json` file is a list of documents or a sequence of them.
//! A document is an object with one of `text`; `input_ids` with an optional `attention_mask` and
//! `labels`; `messages` with optional `tools`; and `prompt` with `completion`, both strings or both
//! lists of messages. Of the last two only responses are labels. Other keys are ignored.
//!
//! Accepted silently: a byte order mark, Windows line endings, blank lines, `NaN` and `Infinity` in
//! ignored keys. Unpaired surrogates become U+FFFD and are counted. Documents without tokens are
//! skipped. Everything else that is ambiguous is an error with file, line and column. The module
//! does not open files.

mod decode;
mod encode;
mod json;
mod problem;
mod read;
mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use encode::{encode, encode_marked};
pub use json::{Json, JsonValue};
pub use problem::{DocumentError, Problem};
pub use read::{Format, read, read_line, records};
pub use record::{TokenRow, document, labelled};

/// A text or a row of token ids, and its location.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub content: Content,
    pub from: Location,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Text(String),
    Tokens(TokenRow),
    /// A text that is to be continued, and how.
    Completion(MarkedText),
    /// A conversation, for the chat template of a tokenizer.
    Conversation(Conversation),
}

/// A text of which only parts are to be learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkedText {
    pub text: String,
    /// Ranges of bytes.
    pub responses: Vec<Range<usize>>,
    /// Whether the tokenizer's special tokens are to be added; a chat template has written them.
    pub special: bool,
}

/// Messages of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// Objects with `role` and `content`.
    pub messages: Vec<Json>,
    /// From this message on, what the assistant says is to be learnt.
    pub n_prompt: usize,
    /// Functions that the assistant may call.
    pub tools: Option<Json>,
}

/// The documents of a file; at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Documents {
    pub documents: Vec<Document>,
    /// Number of unpaired surrogates, replaced by U+FFFD.
    pub n_replaced: usize,
}

/// How a plain text file is split into documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextUnit {
    File,
    /// One document per line; blank lines are skipped.
    Line,
}

/// A location in a file: `a.jsonl, line 3, column 15`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    pub file: Arc<str>,
    /// `None` for the whole file.
    pub record: Option<Record>,
    /// From 1, in characters.
    pub column: Option<usize>,
}

/// A line or a table row, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    Line(usize),
    /// A row of a table.
    Row(usize),
}

impl Location {
    /// The whole file.
    pub fn file(name: &str) -> Self {
        Self { file: name.into(), record: None, column: None }
    }

    /// A record of the same file.
    pub fn at(&self, record: Record) -> Self {
        Self { file: Arc::clone(&self.file), record: Some(record), column: None }
    }

    /// An error at this location.
    pub fn error(&self, problem: Problem) -> DocumentError {
        DocumentError { at: self.clone(), problem }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        match self.record {
            Some(Record::Line(line)) => write!(formatter, ", line {line}")?,
            Some(Record::Row(row)) => write!(formatter, ", row {row}")?,
            None => {}
        }
        match self.column {
            Some(column) => write!(formatter, ", column {column}"),
            None => Ok(()),
        }
    }
}
