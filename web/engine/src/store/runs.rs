//! Distillation runs between visits: a record and a checkpoint each, replaced together.
//!
//! In IndexedDB, where a transaction is written completely or not at all, so that a record and its
//! checkpoint always belong together. The page reads and writes them itself; their contents are checked
//! by whoever uses them.

use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Blob;

use super::database::{CHECKPOINTS, Change, Database, RECORDS, RUNS};
use super::why_not_stored;
use crate::fetch::reason;

/// A run as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRun {
    pub key: String,
    pub record: Vec<u8>,
}

/// All stored runs, in the order of their keys.
///
/// # Errors
/// Why they cannot be read.
pub async fn stored_runs() -> Result<Vec<StoredRun>, String> {
    let rows = Database::open(&RUNS).await?.rows(RECORDS).await;
    let rows = rows.map_err(|error| reason(&error))?.into_iter();
    let run = |(key, value): (String, JsValue)| StoredRun {
        key,
        record: value.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec).unwrap_or_default(),
    };
    Ok(rows.map(run).collect())
}

/// Stores a run in place of its previous state; without a checkpoint, the previous one stays.
///
/// # Errors
/// Why it is not stored; then the previous state stays.
pub async fn store_run(key: &str, record: &[u8], checkpoint: Option<&Blob>) -> Result<(), String> {
    let put = |table, value| Change::Put { table, key: key.into(), value };
    let record = put(RECORDS, Uint8Array::from(record).into());
    let checkpoint = checkpoint.map(|file| put(CHECKPOINTS, file.clone().into()));
    let changes = checkpoint.into_iter().chain([record]).collect();
    let changed = Database::open(&RUNS).await?.change(changes).await;
    changed.map_err(|error| why_not_stored(&error))
}

/// What a stored run is resumed from.
///
/// # Errors
/// Why it cannot be read, or that there is none.
pub async fn stored_checkpoint(key: &str) -> Result<Blob, String> {
    let found = Database::open(&RUNS).await?.get(CHECKPOINTS, &key.into()).await;
    let found = found.map_err(|error| reason(&error))?;
    found.dyn_into().map_err(|_| "its checkpoint is not stored in this browser".to_owned())
}

/// # Errors
/// Why it is still stored.
pub async fn delete_run(key: &str) -> Result<(), String> {
    let tables = [RECORDS, CHECKPOINTS].into_iter();
    let changes = tables.map(|table| Change::Delete { table, key: key.into() }).collect();
    let changed = Database::open(&RUNS).await?.change(changes).await;
    changed.map_err(|error| reason(&error))
}
