//! Documents from one file: JSON lines, a JSON list, or parquet.

use std::path::Path;

use boomerang_core::documents::{Json, Location, records};

use super::parquet;
use crate::error::{Result, bail};
use crate::python::Value;
use boomerang_files as files;

/// # Errors
/// Names the file, and the line if there is one.
pub(super) fn documents(path: &Path) -> Result<Vec<Value>> {
    let is_table = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"));
    if is_table { parquet::documents(path) } else { json(path) }
}

fn json(path: &Path) -> Result<Vec<Value>> {
    let records = records(&path.display().to_string(), &files::read(path)?)?;
    let document = |(from, record): (Location, Json)| match Value::from(record) {
        document @ Value::Map(_) => Ok(document),
        other => bail!("{from}: a document is {}; expected a map of columns", other.kind()),
    };
    records.into_iter().map(document).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: &[u8]) -> Result<Vec<Value>> {
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
    fn what_python_writes_is_read_as_python_reads_it() {
        let line = b"\xef\xbb\xbf{\"a\": NaN, \"b\": \"\\ud800\", \"a\": 1}\r\n";
        let expected = Value::map([("a", Value::Int(1)), ("b", "\u{fffd}".into())]);
        assert_eq!(read("a.jsonl", line).unwrap(), [expected]);
        let found = read("a.json", b"[{\"a\": -Infinity}]").unwrap();
        assert_eq!(found, [Value::map([("a", Value::Float(f64::NEG_INFINITY))])]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = format!("{:#}", read("a.jsonl", b"{}\n{").unwrap_err());
        assert!(error.contains("a.jsonl, line 2, column 2: not JSON"), "{error}");
        assert!(read("a.jsonl", b"3\n").unwrap_err().to_string().contains("a whole number"));
    }

    #[test]
    fn a_file_that_is_not_parquet_is_named() {
        for bytes in [&b""[..], b"PAR1", b"PAR1\xff\xff\xff\x7fPAR1"] {
            let error = read("a.parquet", bytes).unwrap_err().to_string();
            assert!(error.contains("a.parquet: not a readable parquet file"), "{error}");
        }
    }
}
