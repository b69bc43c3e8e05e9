//! Files of texts and token rows, for the parser in `core`; also compressed files and tables.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use boomerang_core::documents::{
    Document, Documents, Format, Json, JsonValue, Location, Problem, Record, TextUnit, document,
    read,
};
use flate2::read::MultiGzDecoder;

use crate::exit::{Exit, OrExit as _};
use crate::files;
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
        let Documents { documents, n_replaced } = one_file(path, unit).or_exit(Exit::Unusable)?;
        if n_replaced > 0 {
            note(&format!(
                "{}: {n_replaced} unpaired surrogates were read as U+FFFD",
                path.display()
            ));
        }
        all.extend(documents);
    }
    Ok(all)
}

fn one_file(path: &Path, unit: TextUnit) -> anyhow::Result<Documents> {
    let name = files::shown(path);
    let (inner, compression) = Compression::of(&name);
    if compression == Compression::None && has_ending(&name, "parquet") {
        return table(path, &Location::file(&name));
    }
    // A file of another format may be large, and is refused before it is read.
    let format = Format::of(inner).map_err(|error| Location::file(&name).error(error.problem))?;
    let bytes = compression.undo(files::read(path)?).with_context(|| name.clone())?;
    Ok(read(&name, format, &bytes, unit)?)
}

/// How a file of texts is compressed, by the last ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// The name without the ending that shows the compression.
    fn of(name: &str) -> (&str, Self) {
        for (ending, compression) in [("gz", Self::Gzip), ("zst", Self::Zstd)] {
            if has_ending(name, ending) {
                return (&name[..name.len() - ending.len() - 1], compression);
            }
        }
        (name, Self::None)
    }

    fn undo(self, bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes),
            Self::Gzip => {
                let mut text = Vec::new();
                let mut reader = MultiGzDecoder::new(&*bytes);
                reader.read_to_end(&mut text).context("truncated or invalid gzip file")?;
                Ok(text)
            }
            Self::Zstd => zstd::decode_all(&*bytes).context("truncated or invalid zstd file"),
        }
    }
}

fn has_ending(name: &str, wanted: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| ending.eq_ignore_ascii_case(wanted))
}

/// The columns `text`, or `input_ids` and those beside it, of a parquet file.
fn table(path: &Path, file: &Location) -> anyhow::Result<Documents> {
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
