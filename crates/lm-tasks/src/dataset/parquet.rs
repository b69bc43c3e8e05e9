//! Documents from a parquet file, record by record.

use std::cell::Cell;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};

use super::pages;
use crate::error::{Context as _, Result, ensure, unusable};
use crate::python::{self, Value};
use boomerang_files as files;

/// # Errors
/// When the file is damaged, or uses features that are not supported.
pub(super) fn documents(path: &Path) -> Result<Vec<Value>> {
    let unreadable = || format!("{}: not a readable parquet file", path.display());
    // The parser checks a page only as it reads it, and not everything of it.
    let outcome = quietly(|| read(path));
    outcome.unwrap_or_else(|| Err(unusable!("it is damaged"))).with_context(unreadable)
}

fn read(path: &Path) -> Result<Vec<Value>> {
    let bytes = files::map(path)?;
    let reader = SerializedFileReader::new(File::open(path)?)?;
    pages::check(reader.metadata(), &bytes)?;
    let rows = reader.get_row_iter(None)?;
    let mut documents = Vec::new();
    for row in rows {
        // A record takes at least one bit.
        ensure!(documents.len() < 8 * bytes.len(), "it has more records than bits");
        documents.push(document(&row?));
    }
    Ok(documents)
}

/// The result of `work`; `None` when it panics, without printing the panic.
fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    thread_local! {
        static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                usual(panic);
            }
        }));
    });
    IS_QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    IS_QUIET.set(false);
    outcome.ok()
}

fn document(row: &Row) -> Value {
    Value::Map(row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect())
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::None,
        Field::Bool(flag) => Value::Bool(*flag),
        Field::Byte(number) => Value::Int(i64::from(*number)),
        Field::Short(number) => Value::Int(i64::from(*number)),
        Field::Int(number) => Value::Int(i64::from(*number)),
        Field::Long(number) => Value::Int(*number),
        Field::UByte(number) => Value::Int(i64::from(*number)),
        Field::UShort(number) => Value::Int(i64::from(*number)),
        Field::UInt(number) => Value::Int(i64::from(*number)),
        Field::ULong(number) => Value::Int(i64::try_from(*number).unwrap_or(i64::MAX)),
        Field::Float(number) => Value::Float(f64::from(*number)),
        Field::Double(number) => Value::Float(*number),
        Field::Str(text) => Value::Text(text.clone()),
        Field::Bytes(bytes) => Value::Text(String::from_utf8_lossy(bytes.data()).into_owned()),
        Field::Group(row) => document(row),
        Field::ListInternal(list) => Value::List(list.elements().iter().map(value).collect()),
        Field::MapInternal(map) => {
            let entry = |(key, field): &(Field, Field)| match value(key) {
                Value::Text(key) => (key, value(field)),
                key => (python::text(&key), value(field)),
            };
            Value::Map(map.entries().iter().map(entry).collect())
        }
        // Dates, decimals and half floats, as text.
        other => Value::Text(other.to_string()),
    }
}
