//! How progress is written: for a person at a terminal, as lines for a log, or as JSON for a program.

use std::sync::atomic::{AtomicU8, Ordering};

use clap::ValueEnum;
use serde_json::{Value, json};

/// The choice of `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressFormat {
    /// Bars on a terminal, lines elsewhere
    #[default]
    Auto,
    /// Lines, also on a terminal
    Plain,
    /// One JSON object per line: progress, notes, and the error that a command ends with
    Json,
}

/// That of the running command.
static CURRENT: AtomicU8 = AtomicU8::new(ProgressFormat::Auto as u8);

impl ProgressFormat {
    /// Writes progress in this format from now on.
    pub fn select(self) {
        CURRENT.store(self as u8, Ordering::Relaxed);
    }

    /// The format that was selected last.
    pub fn current() -> Self {
        let number = CURRENT.load(Ordering::Relaxed);
        let found = Self::value_variants().iter().find(|format| **format as u8 == number);
        found.copied().unwrap_or_default()
    }

    /// The choice on a command line that may not be parsed yet; the last one counts.
    pub fn among<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut found, mut is_value) = (Self::default(), false);
        for word in words {
            let value = if is_value { Some(word) } else { word.strip_prefix("--progress=") };
            found = value.and_then(|value| Self::from_str(value, false).ok()).unwrap_or(found);
            is_value = word == "--progress";
        }
        found
    }
}

/// Lines of the format [`ProgressFormat::Json`].
pub(super) fn note(text: &str) -> Value {
    json!({"event": "note", "text": text})
}

pub(super) fn error(text: &str, exit_code: u8) -> Value {
    json!({"event": "error", "text": text, "exit_code": exit_code})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_known_before_the_command_line_is_parsed() {
        let among = |line: &str| ProgressFormat::among(line.split(' '));
        assert_eq!(among("boomerang --progress json distill --wrong"), ProgressFormat::Json);
        assert_eq!(among("boomerang distill --progress=plain"), ProgressFormat::Plain);
        assert_eq!(among("boomerang distill --progress many"), ProgressFormat::Auto);
        assert_eq!(among("boomerang distill json"), ProgressFormat::Auto);
    }
}
