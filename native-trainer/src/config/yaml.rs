//! The keys of a YAML file with their values and lines.

use anyhow::Context as _;
use serde_yaml_ng::Value;

use crate::exit::{Exit, OrExit as _};

/// A value behind a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// `null`: the default.
    Absent,
    Flag(bool),
    Text(String),
    List(Vec<String>),
}

/// A key, its value, and where it stands.
pub(super) type Entry = (String, Setting, String);

/// # Errors
/// When the text is not a mapping of keys to values and lists.
pub(super) fn read(text: &str, name: &str) -> anyhow::Result<Vec<Entry>> {
    let parsed: Value = serde_yaml_ng::from_str(text)
        .with_context(|| format!("{name} is not YAML"))
        .or_exit(Exit::Usage)?;
    let mapping = match parsed {
        Value::Mapping(mapping) => mapping,
        Value::Null => return Ok(Vec::new()),
        other => {
            return Err(Exit::Usage.error(format!(
                "{name}: expected keys with values, such as `steps: 500`; found {other:?}"
            )));
        }
    };
    let mut entries = Vec::new();
    for (key, value) in mapping {
        let Value::String(key) = key else {
            return Err(Exit::Usage.error(format!("{name}: the key {key:?} is no name of a flag")));
        };
        let place = match line_of(text, &key) {
            Some(line) => format!("{name}, line {line}"),
            None => name.to_owned(),
        };
        let setting = setting(&value).ok_or_else(|| {
            Exit::Usage.error(format!("{place}: {key} is a mapping; expected a value or a list"))
        })?;
        entries.push((key, setting, place));
    }
    Ok(entries)
}

/// The value of `--set`.
pub(super) fn scalar(text: &str) -> Setting {
    match text {
        "true" => Setting::Flag(true),
        "false" => Setting::Flag(false),
        "null" | "" => Setting::Absent,
        _ => Setting::Text(text.to_owned()),
    }
}

/// The line that a top-level key begins, from 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let begins = |line: &str| {
        let line = line.trim_start_matches(['"', '\'']);
        line.strip_prefix(key)
            .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
    };
    text.lines().position(begins).map(|index| index + 1)
}

/// `None` for a mapping.
fn setting(value: &Value) -> Option<Setting> {
    Some(match value {
        Value::Null => Setting::Absent,
        Value::Bool(flag) => Setting::Flag(*flag),
        Value::Sequence(items) => {
            Setting::List(items.iter().map(text).collect::<Option<Vec<String>>>()?)
        }
        other => Setting::Text(text(other)?),
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
