//! Files of texts and token rows, for the parser in `core`; also compressed files and tables.

use std::path::{Path, PathBuf};

use boomerang_core::documents::{
    Document, Documents, Json, JsonValue, Location, Problem, Record, TextUnit, document,
};

use crate::exit::{Exit, OrExit as _};
use crate::files;
use crate::files::pieces::each_piece;
use crate::progress::note;
use boomerang_lm_tasks::dataset;
use boomerang_lm_tasks::python::Value;

/// The documents of some files, one file after another.
///
/// # Errors
/// Names the file, and the line and the column that cannot be used.
pub fn read_documents(paths: &[PathBuf], unit: TextUnit) -> anyhow::Result<Vec<Document>> {
    let mut all = Vec::new();
    for path in paths {
        let (before, mut n_replaced) = (all.len(), 0);
        each_piece(path, unit, &mut |piece| {
            let found = piece.parse();
            if let Some(bad) = found.bad.into_iter().next() {
                return Err(bad).or_exit(Exit::Unusable);
            }
            n_replaced += found.n_replaced;
            all.extend(found.documents);
            Ok(())
        })?;
        note_replaced(&files::shown(path), n_replaced);
        if all.len() == before {
            return Err(Location::file(&files::shown(path)).error(Problem::NothingUsable))
                .or_exit(Exit::Unusable);
        }
    }
    Ok(all)
}

/// Says how many unpaired surrogates were replaced, if there were any.
pub fn note_replaced(name: &str, n_replaced: usize) {
    if n_replaced > 0 {
        note(&format!("{name}: {n_replaced} unpaired surrogates were read as U+FFFD"));
    }
}

/// How a file of texts is compressed, by the last ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// The name without the ending that shows the compression.
    pub(super) fn of(name: &str) -> (&str, Self) {
        for (ending, compression) in [("gz", Self::Gzip), ("zst", Self::Zstd)] {
            if has_ending(name, ending) {
                return (&name[..name.len() - ending.len() - 1], compression);
            }
        }
        (name, Self::None)
    }
}

pub(super) fn has_ending(name: &str, wanted: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| ending.eq_ignore_ascii_case(wanted))
}

/// The columns `text`, or `input_ids` and those beside it, of a parquet file.
pub(super) fn table(path: &Path, file: &Location) -> anyhow::Result<Documents> {
    let mut documents = Vec::new();
    for (index, row) in dataset::rows_of_table(path)?.into_iter().enumerate() {
        let from = file.at(Record::Row(index + 1));
        let found = document(&json(row), &from).map_err(|(_, problem)| from.error(problem))?;
        documents.extend(found);
    }
    if documents.is_empty() {
        return Err(file.error(Problem::NothingUsable).into());
    }
    Ok(Documents { documents, n_replaced: 0 })
}

/// A value of a table, which has no position of its own.
fn json(value: Value) -> Json {
    let value = match value {
        Value::None => JsonValue::Null,
        Value::Bool(flag) => JsonValue::Bool(flag),
        Value::Int(number) => JsonValue::Int(number),
        Value::Float(number) => JsonValue::Float(number),
        Value::Text(text) => JsonValue::Text(text),
        Value::List(values) => JsonValue::List(values.into_iter().map(json).collect()),
        Value::Map(entries) => {
            JsonValue::Map(entries.into_iter().map(|(key, value)| (key, json(value))).collect())
        }
    };
    Json { at: 0, value }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::exit::{code_of, describe};

    fn documents(name: &str, bytes: &[u8]) -> anyhow::Result<Vec<Document>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read_documents(&[path], TextUnit::File)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn compressed_texts_are_the_texts_inside() {
        let lines = b"{\"text\": \"a\"}\n{\"text\": \"b\"}\n";
        let plain = documents("a.jsonl", lines).unwrap();
        let packed = [
            ("a.JSONL.GZ", gzip(lines)),
            ("a.jsonl.zst", zstd::encode_all(&lines[..], 1).unwrap()),
        ];
        for (name, bytes) in packed {
            let found = documents(name, &bytes).unwrap();
            let contents = |documents: &[Document]| -> Vec<_> {
                documents.iter().map(|document| document.content.clone()).collect()
            };
            assert_eq!(contents(&found), contents(&plain), "{name}");
            assert!(found[1].from.to_string().ends_with(&format!("{name}, line 2")));
        }
    }

    #[test]
    fn a_compressed_file_that_was_cut_is_named() {
        let whole = gzip(b"{\"text\": \"a long text\"}");
        let zstd = zstd::encode_all(&b"{\"text\": \"a long text\"}"[..], 1).unwrap();
        for (name, bytes) in [("a.jsonl.gz", whole), ("a.jsonl.zst", zstd)] {
            let error = documents(name, &bytes[..bytes.len() - 6]).unwrap_err();
            assert!(describe(&error).contains(&format!("{name}: truncated or invalid")), "{error}");
            assert_eq!(code_of(&error), Exit::Unusable);
        }
        let other = documents("a.csv.gz", b"").unwrap_err();
        assert!(describe(&other).ends_with("found .csv"), "{other}");
    }
}
