//! The tables in IndexedDB, which every context has: the list of what is stored, files where there is no
//! private file system, and distillation runs.

use std::collections::BTreeMap;

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::bindings::{Base, Request, Table, between, scope, timer};
use crate::fetch::reason;

/// A database and its tables.
pub(super) struct Schema {
    name: &'static str,
    /// A change of the tables needs the next number, and a migration from this one.
    version: u32,
    tables: &'static [&'static str],
}

/// Models, by file.
pub(super) const MODELS: Schema =
    Schema { name: "boomerang-models", version: 1, tables: &[BUNDLES, WHOLE, LENGTHS, CHUNKS] };
/// Distillation runs, apart from models: whatever is of no model is deleted there.
pub(super) const RUNS: Schema =
    Schema { name: "boomerang-runs", version: 1, tables: &[RECORDS, CHECKPOINTS] };

/// In some browsers `open` never completes.
const PATIENCE_MILLIS: u32 = 4000;

/// Records of bundles, as JSON, by fingerprint and address.
pub(super) const BUNDLES: &str = "bundles";
/// Files whose hash was correct: their lengths, by hash.
pub(super) const WHOLE: &str = "whole";
/// Files stored in the database: how many bytes of them, by hash.
pub(super) const LENGTHS: &str = "lengths";
/// Pieces of files, by hash and offset.
const CHUNKS: &str = "chunks";

/// Records of runs, by key.
pub(super) const RECORDS: &str = "records";
/// What runs are resumed from, by the same keys.
pub(super) const CHECKPOINTS: &str = "checkpoints";

pub(super) struct Database {
    base: Base,
    tables: &'static [&'static str],
}

/// One change of a table.
pub(super) enum Change {
    Put { table: &'static str, key: JsValue, value: JsValue },
    Delete { table: &'static str, key: JsValue },
}

impl Database {
    /// # Errors
    /// Why it cannot be opened.
    pub(super) async fn open(schema: &Schema) -> Result<Self, String> {
        let Schema { name, version, tables } = *schema;
        let failed = |error: JsValue| format!("IndexedDB cannot be opened ({})", reason(&error));
        let factory = scope().indexed_db().map_err(failed)?;
        let factory = factory.ok_or_else(|| "this browser has no IndexedDB".to_owned())?;
        let request = factory.open(name, version).map_err(failed)?;
        let upgrading: Request = request.clone().unchecked_into();
        let create = Closure::once_into_js(move || {
            if let Ok(base) = upgrading.result() {
                let base: Base = base.unchecked_into();
                for table in tables {
                    // An existing table can stay.
                    let _ = base.create_table(table);
                }
            }
        });
        request.on_upgrade(create.unchecked_ref());
        let opened = wasm_bindgen_futures::future_to_promise(request.answer());
        let first = Promise::race(&Array::of2(&opened, &timer(PATIENCE_MILLIS)));
        let base = JsFuture::from(first).await.map_err(failed)?;
        if base.is_undefined() {
            return Err("IndexedDB does not respond".to_owned());
        }
        Ok(Self { base: base.unchecked_into(), tables })
    }

    pub(super) async fn get(&self, table: &str, key: &JsValue) -> Result<JsValue, JsValue> {
        self.read(table)?.get(key)?.answer().await
    }

    /// All rows of a table whose keys are texts.
    pub(super) async fn rows(&self, table: &str) -> Result<Vec<(String, JsValue)>, JsValue> {
        let table = self.read(table)?;
        let (keys, values) = (table.all_keys()?.answer(), table.all()?.answer());
        let keys: Array = keys.await?.unchecked_into();
        let values: Array = values.await?.unchecked_into();
        let keys = keys.iter().map(|key| key.as_string().unwrap_or_default());
        Ok(keys.zip(values.iter()).collect())
    }

    /// All rows of a table of numbers.
    pub(super) async fn numbers(&self, table: &str) -> Result<BTreeMap<String, u64>, JsValue> {
        // One by one: collecting them would add a sort to the page's program.
        let mut numbers = BTreeMap::new();
        for (key, value) in self.rows(table).await? {
            numbers.insert(key, value.as_f64().unwrap_or_default() as u64);
        }
        Ok(numbers)
    }

    /// Makes all of the changes, or none.
    pub(super) async fn change(&self, changes: Vec<Change>) -> Result<(), JsValue> {
        let tables = self.tables.iter().map(|table| JsValue::from_str(table)).collect();
        let transaction = self.base.transaction(&tables, "readwrite")?;
        for change in changes {
            match change {
                Change::Put { table, key, value } => transaction.table(table)?.put(&value, &key)?,
                Change::Delete { table, key } => transaction.table(table)?.delete(&key)?,
            };
        }
        transaction.end().await
    }

    /// Stores a piece of a file that is complete up to it.
    pub(super) async fn write(&self, name: &str, bytes: &[u8], at: u64) -> Result<(), JsValue> {
        let end = (at + bytes.len() as u64) as f64;
        let (key, value) = (chunk_key(name, at as f64), Uint8Array::from(bytes).into());
        let length = Change::Put { table: LENGTHS, key: name.into(), value: end.into() };
        self.change(vec![Change::Put { table: CHUNKS, key, value }, length]).await
    }

    /// Reads a file piece by piece, as far as its pieces are contiguous.
    pub(super) async fn read_file(
        &self,
        name: &str,
        each: &mut dyn FnMut(&Uint8Array),
    ) -> Result<(), JsValue> {
        let end = self.get(LENGTHS, &name.into()).await?.as_f64().unwrap_or_default();
        let mut at = 0.0;
        while at < end {
            let piece = self.get(CHUNKS, &chunk_key(name, at)).await?;
            let Some(piece) = piece.dyn_ref::<Uint8Array>() else { break };
            if piece.length() == 0 {
                break;
            }
            each(piece);
            at += f64::from(piece.length());
        }
        Ok(())
    }

    pub(super) async fn remove_file(&self, name: &str) -> Result<(), JsValue> {
        let pieces = between(&chunk_key(name, 0.0), &chunk_key(name, f64::INFINITY))?;
        let length = Change::Delete { table: LENGTHS, key: name.into() };
        self.change(vec![Change::Delete { table: CHUNKS, key: pieces }, length]).await
    }

    fn read(&self, table: &str) -> Result<Table, JsValue> {
        self.base.transaction(&Array::of1(&table.into()), "readonly")?.table(table)
    }
}

/// The key of a piece.
fn chunk_key(name: &str, at: f64) -> JsValue {
    Array::of2(&name.into(), &at.into()).into()
}
