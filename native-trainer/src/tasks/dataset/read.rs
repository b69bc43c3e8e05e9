//! Documents from one file: JSON lines, a JSON list, or parquet.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::parquet;
use crate::exit::{Exit, OrExit as _};
use crate::files;
use crate::tasks::python::Value;

/// # Errors
/// Names the file, and the line if it has some.
pub(super) fn documents(path: &Path) -> anyhow::Result<Vec<Value>> {
    let documents = match path.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => parquet::documents(path),
        _ => json(path),
    };
    documents.or_exit(Exit::Unusable)
}

fn json(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = files::read_text(path)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let documents = if text.trim_start().starts_with('[') {
        serde_json::from_str::<Vec<Value>>(text).with_context(|| path.display().to_string())?
    } else {
        let line = |(number, line): (usize, &str)| {
            serde_json::from_str::<Value>(line)
                .with_context(|| format!("{}, line {}", path.display(), number + 1))
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines.map(line).collect::<anyhow::Result<_>>()?
    };
    match documents.iter().find(|document| !matches!(document, Value::Map(_))) {
        None => Ok(documents),
        Some(other) => {
            bail!("{}: a document is {}; expected a map of columns", path.display(), other.kind())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: &[u8]) -> anyhow::Result<Vec<Value>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        documents(&path)
    }

    #[test]
    fn a_list_and_lines_are_the_same_documents() {
        let lines = read("a.jsonl", b"{\"a\": 1}\n\n{\"a\": 2}").unwrap();
        assert_eq!(lines, read("a.json", b" [{\"a\": 1}, {\"a\": 2}]").unwrap());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = format!("{:#}", read("a.jsonl", b"{}\n{").unwrap_err());
        assert!(error.contains("a.jsonl, line 2"), "{error}");
        assert!(read("a.jsonl", b"3\n").unwrap_err().to_string().contains("a whole number"));
    }

    #[test]
    fn a_file_that_is_no_parquet_is_named() {
        for bytes in [&b""[..], b"PAR1", b"PAR1\xff\xff\xff\x7fPAR1"] {
            let error = read("a.parquet", bytes).unwrap_err().to_string();
            assert!(error.contains("a.parquet: not a parquet file"), "{error}");
        }
    }
}
