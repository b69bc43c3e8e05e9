//! A dataset card: the YAML of its README.md names the files of each configuration.

use std::path::Path;

use crate::definition::parse;
use crate::python::{self, Value};
use boomerang_files as files;

/// The patterns of the files of one split; `None` when the card does not list it.
pub(super) fn patterns(
    folder: &Path,
    configuration: Option<&str>,
    split: &str,
) -> Option<Vec<String>> {
    let readme = files::read_text(&folder.join("README.md")).ok()?;
    let head = readme.strip_prefix("---")?.split("\n---").next()?;
    // An invalid card counts as none.
    let head = parse(head).ok()?;
    let configurations = head.get("configs")?.as_list()?;
    let chosen = match configuration {
        Some(wanted) => configurations.iter().find(|found| name(found) == wanted),
        None => configurations
            .iter()
            .find(|found| found.get("default").and_then(Value::as_bool) == Some(true))
            .or_else(|| configurations.iter().find(|found| name(found) == "default"))
            .or(match configurations {
                [only] => Some(only),
                _ => None,
            }),
    };
    of_part(chosen?.get("data_files")?, split)
}

fn name(configuration: &Value) -> String {
    configuration.get("config_name").map(python::text).unwrap_or_default()
}

fn of_part(files: &Value, split: &str) -> Option<Vec<String>> {
    let texts = |value: &Value| match value {
        Value::List(values) => values.iter().map(python::text).collect(),
        one => vec![python::text(one)],
    };
    match files {
        // Without splits, everything is the train split.
        Value::Text(pattern) => (split == "train").then(|| vec![pattern.clone()]),
        Value::List(entries) => {
            let own = entries
                .iter()
                .find(|entry| entry.get("split").is_some_and(|found| python::text(found) == split));
            own.and_then(|entry| entry.get("path")).map(texts)
        }
        _ => None,
    }
}

/// Whether a path matches a pattern in which `*` matches any part of a name, `**` any path and `?`
/// one character.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<char> = pattern.strip_prefix("./").unwrap_or(pattern).chars().collect();
    let path: Vec<char> = path.chars().collect();
    // Whether the pattern so far matches each prefix of the path.
    let mut fits = vec![false; path.len() + 1];
    fits[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let is_deep = pattern[at..].starts_with(&['*', '*']);
        let mut next = vec![false; path.len() + 1];
        if pattern[at] == '*' {
            next[0] = fits[0];
            for index in 0..path.len() {
                let continues = next[index] && (is_deep || path[index] != '/');
                next[index + 1] = fits[index + 1] || continues;
            }
            // `**/` also matches no folder at all.
            at += if is_deep && pattern.get(at + 2) == Some(&'/') {
                for index in (0..path.len()).rev() {
                    let ends_folder = path[index] == '/' && next[index + 1];
                    next[index + 1] = ends_folder || fits[index + 1];
                }
                3
            } else if is_deep {
                2
            } else {
                1
            };
        } else {
            for index in 0..path.len() {
                let is_same =
                    pattern[at] == path[index] || (pattern[at] == '?' && path[index] != '/');
                next[index + 1] = fits[index] && is_same;
            }
            at += 1;
        }
        fits = next;
    }
    fits[path.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "---\nlicense: mit\nconfigs:\n- config_name: main\n  data_files:\n  - split: \
        train\n    path: main/train-*\n  - split: test\n    path:\n    - main/test-*\n- config_name: \
        other\n  default: true\n  data_files: all/*.jsonl\n---\n# Card\n";

    #[test]
    fn the_card_names_the_files_of_each_part() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("README.md"), CARD).unwrap();
        let found = |name, split| patterns(folder.path(), name, split);
        assert_eq!(found(Some("main"), "test").unwrap(), ["main/test-*"]);
        assert_eq!(found(None, "train").unwrap(), ["all/*.jsonl"]);
        assert_eq!(found(Some("main"), "validation"), None);
        assert_eq!(found(Some("missing"), "test"), None);
    }

    #[test]
    fn stars_stand_for_what_they_stand_for_on_the_hub() {
        let cases = [
            ("main/train-*", "main/train-00000-of-00001.parquet", true),
            ("main/*", "main/a/b.parquet", false),
            ("main/**", "main/a/b.parquet", true),
            ("**/test.jsonl", "test.jsonl", true),
            ("**/test.jsonl", "a/b/test.jsonl", true),
            ("**/test.jsonl", "a/latest.jsonl", false),
            ("data/test?.json", "data/test1.json", true),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
