//! Texts and rows of token ids from files: the one reader of all commands and of the page.
//!
//! What a file holds is decided by its ending, in upper or lower case: a `.txt`, `.text` or `.md` is
//! one document, or one for each line where a caller asks for that; a `.jsonl` or `.ndjson` has a
//! document in each line, and a `.json` is a list of documents, or one after another. A document is
//! an object with either `text`, or `input_ids` with an optional `attention_mask` and `labels`.
//! Other keys are not looked at.
//!
//! Read without a word: a byte order mark, line ends of Windows, blank lines, `NaN` and `Infinity`
//! among keys that are not read. Surrogates without their other half become U+FFFD and are counted.
//! Documents without a token are left out. Everything else that is not clear is refused, with file,
//! line and column. Nothing here opens files.

mod decode;
mod encode;
mod json;
mod problem;
mod read;
mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use encode::encode;
pub use json::{Json, JsonValue};
pub use problem::{DocumentError, Problem};
pub use read::{Format, read, records};
pub use record::{TokenRow, document};

/// A text or a row of token ids, and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub content: Content,
    pub from: Location,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Text(String),
    Tokens(TokenRow),
}

/// The documents of a file; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    pub documents: Vec<Document>,
    /// Surrogates without their other half, read as U+FFFD.
    pub n_replaced: usize,
}

/// What a document of a plain text file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextUnit {
    File,
    /// Blank lines are left out.
    Line,
}

/// A place in a file: `a.jsonl, line 3, column 15`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    pub file: Arc<str>,
    /// `None` for the whole file.
    pub record: Option<Record>,
    /// From 1, in characters.
    pub column: Option<usize>,
}

/// A part of a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    Line(usize),
    /// Of a table.
    Row(usize),
}

impl Location {
    /// The whole file.
    pub fn file(name: &str) -> Self {
        Self { file: name.into(), record: None, column: None }
    }

    /// A part of the same file.
    pub fn at(&self, record: Record) -> Self {
        Self { file: Arc::clone(&self.file), record: Some(record), column: None }
    }

    /// The error that something here is wrong.
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
