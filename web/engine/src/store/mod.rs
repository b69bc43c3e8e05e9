//! The files of models, stored in the browser between visits.
//!
//! A file is identified by its SHA-256, so that two bundles share it and a changed one is another. Its
//! bytes are written as they are downloaded, to the private file system or else to IndexedDB; without
//! either, nothing is stored. Nothing read from here is trusted: its hash is checked.

mod bindings;
mod database;
mod inventory;
mod private_files;
pub mod runs;
pub mod space;
mod writing;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use boomerang_core::bundle::{BundleFile, Manifest, hex};
use js_sys::Uint8Array;
use sha2::{Digest, Sha256};
use wasm_bindgen::JsValue;

use bindings::error_name;
use database::{BUNDLES, Change, Database, LENGTHS, MODELS, WHOLE};
use inventory::Record;
use private_files::PrivateFiles;
use writing::Writing;

use crate::fetch::reason;
use crate::messages::{FileState, StorageKind, StoredModel, StoredReport};

/// What is stored, and where.
pub(crate) struct Store {
    /// Lists what is stored; without it nothing is.
    database: Option<Database>,
    /// Where the bytes are; `None` if they are in the database.
    files: Option<PrivateFiles>,
    /// Why no better storage is used.
    why: Option<String>,
    /// The file that is being downloaded.
    writing: RefCell<Option<Writing>>,
    /// The fingerprint of the bundle that is being downloaded.
    loading: RefCell<String>,
    /// Cleared when the storage is full, or the user has deleted the bundle being downloaded.
    is_keeping: Cell<bool>,
}

impl Store {
    pub(crate) async fn open() -> Self {
        let (database, files, why) = match Database::open(&MODELS).await {
            Err(why) => (None, None, Some(why)),
            Ok(database) => match PrivateFiles::open().await {
                Err(why) => (Some(database), None, Some(why)),
                Ok(files) => (Some(database), Some(files), None),
            },
        };
        let (writing, loading, is_keeping) =
            (RefCell::default(), RefCell::default(), Cell::default());
        Self { database, files, why, writing, loading, is_keeping }
    }

    /// Stores the files of this bundle from now on, and deletes files that belong to none.
    pub(crate) async fn keep(
        &self,
        url: &str,
        json: &str,
        manifest: &Manifest,
    ) -> Result<(), String> {
        let Some(database) = &self.database else { return Ok(()) };
        let fingerprint = manifest.fingerprint();
        let record =
            Record { url: url.to_owned(), at: js_sys::Date::now(), manifest: json.to_owned() };
        let key = record.key(&fingerprint).into();
        let change = Change::Put { table: BUNDLES, key, value: record.to_json().into() };
        *self.loading.borrow_mut() = fingerprint;
        self.is_keeping.set(true);
        let kept = async {
            database.change(vec![change]).await?;
            self.delete_unlisted().await
        };
        kept.await.map_err(|error: JsValue| self.give_up(&error))
    }

    /// The length of the file with this hash, if it is not the one that `file` lists: then no such file
    /// can exist, and the stored one must not be deleted for it.
    pub(crate) async fn conflicting_length(&self, file: &BundleFile) -> Option<u64> {
        let known = self.database.as_ref()?.get(WHOLE, &file.sha256.as_str().into()).await.ok()?;
        inventory::conflicting_length(known.as_f64()? as u64, file)
    }

    /// The stored bytes of a file, from its start; `on_bytes` gets their number so far.
    pub(crate) async fn read(&self, file: &BundleFile, mut on_bytes: impl FnMut(u64)) -> Vec<u8> {
        // The manifest's length is only reserved once the file is known to be stored.
        let mut bytes = Vec::new();
        let mut each = |piece: &Uint8Array| {
            let start = bytes.len();
            if start == 0 {
                bytes.reserve_exact(file.bytes.min(crate::fetch::MAX_RESERVED) as usize);
            }
            bytes.resize(start + piece.length() as usize, 0);
            piece.copy_to(&mut bytes[start..]);
            on_bytes(bytes.len() as u64);
        };
        let is_read = self.pieces(&file.sha256, &mut each).await.is_ok();
        if !is_read || bytes.len() as u64 > file.bytes {
            self.drop_file(&file.sha256).await;
            bytes.clear();
        }
        bytes
    }

    /// Marks a file whose hash was correct.
    pub(crate) async fn mark_whole(&self, file: &BundleFile) {
        if let Some(database) = &self.database
            && self.is_keeping.get()
        {
            let (key, value) = (file.sha256.as_str().into(), (file.bytes as f64).into());
            // Without the mark it is listed as partial, and checked and marked when it is read.
            let _ = database.change(vec![Change::Put { table: WHOLE, key, value }]).await;
        }
    }

    pub(crate) async fn drop_file(&self, name: &str) {
        let Some(database) = &self.database else { return };
        self.writing.borrow_mut().take_if(|writing| writing.is_of(name));
        let mark = Change::Delete { table: WHOLE, key: name.into() };
        // A file that cannot be removed is found damaged again when it is read.
        let _ = database.change(vec![mark]).await;
        let _ = match &self.files {
            Some(files) => files.remove(name).await,
            None => database.remove_file(name).await,
        };
    }

    /// Compares a file with its hash, piece by piece, and deletes it if it is damaged.
    pub(crate) async fn check(&self, file: &BundleFile) -> FileState {
        let (mut hash, mut n_bytes) = (Sha256::new(), 0);
        let mut each = |piece: &Uint8Array| {
            hash.update(piece.to_vec());
            n_bytes += u64::from(piece.length());
        };
        let is_read = self.pieces(&file.sha256, &mut each).await.is_ok();
        let is_intact = is_read && hex(&hash.finalize()) == file.sha256;
        let state = inventory::state_of(n_bytes, is_intact, file);
        if state == FileState::Damaged {
            self.drop_file(&file.sha256).await;
        }
        state
    }

    /// The files of a stored model.
    pub(crate) async fn files_of(&self, fingerprint: &str) -> Vec<BundleFile> {
        let records = self.records().await.unwrap_or_default();
        let record = records.iter().find(|(_, record)| record.is_of(fingerprint));
        record.map(|(_, record)| record.files()).unwrap_or_default()
    }

    /// Deletes a model, and its files unless another model uses them.
    pub(crate) async fn delete(&self, fingerprint: &str) -> Result<(), JsValue> {
        let Some(database) = &self.database else { return Ok(()) };
        let is_loading = *self.loading.borrow() == fingerprint;
        if is_loading {
            self.writing.replace(None);
        }
        // Deleting another model frees space.
        self.is_keeping.set(!is_loading && !self.loading.borrow().is_empty());
        let records = self.records().await?;
        let of_it = records.into_iter().filter(|(_, record)| record.is_of(fingerprint));
        let changes = of_it.map(|(key, _)| Change::Delete { table: BUNDLES, key: key.into() });
        database.change(changes.collect()).await?;
        self.delete_unlisted().await
    }

    pub(crate) async fn report(&self) -> StoredReport {
        match self.models().await {
            Ok(models) => StoredReport { storage: self.storage(), why: self.why.clone(), models },
            Err(error) => {
                let (storage, why) = (StorageKind::Memory, Some(reason(&error)));
                StoredReport { storage, why, models: Vec::new() }
            }
        }
    }

    async fn models(&self) -> Result<Vec<StoredModel>, JsValue> {
        let Some(database) = &self.database else { return Ok(Vec::new()) };
        let records = self.records().await?.into_iter().map(|(_, record)| record).collect();
        let whole = database.numbers(WHOLE).await?;
        Ok(inventory::models(records, &whole, &self.sizes().await?))
    }

    fn storage(&self) -> StorageKind {
        match (&self.database, &self.files) {
            (Some(_), Some(_)) => StorageKind::PrivateFiles,
            (Some(_), None) => StorageKind::IndexedDb,
            (None, _) => StorageKind::Memory,
        }
    }

    async fn pieces(&self, name: &str, each: &mut dyn FnMut(&Uint8Array)) -> Result<(), JsValue> {
        match (&self.files, &self.database) {
            (Some(files), _) => files.read(name, each).await,
            (None, Some(database)) => database.read_file(name, each).await,
            (None, None) => Ok(()),
        }
    }

    async fn sizes(&self) -> Result<BTreeMap<String, u64>, JsValue> {
        match (&self.files, &self.database) {
            (Some(files), _) => files.sizes().await,
            (None, Some(database)) => database.numbers(LENGTHS).await,
            (None, None) => Ok(BTreeMap::new()),
        }
    }

    async fn records(&self) -> Result<Vec<(String, Record)>, JsValue> {
        match &self.database {
            Some(database) => inventory::records(database).await,
            None => Ok(Vec::new()),
        }
    }

    /// Deletes files that no stored manifest lists.
    async fn delete_unlisted(&self) -> Result<(), JsValue> {
        let (records, sizes) = (self.records().await?, self.sizes().await?);
        let records: Vec<Record> = records.into_iter().map(|(_, record)| record).collect();
        for name in inventory::unlisted(&records, sizes.keys()) {
            self.drop_file(&name).await;
        }
        Ok(())
    }

    /// Stores nothing more; returns the reason.
    fn give_up(&self, error: &JsValue) -> String {
        self.is_keeping.set(false);
        self.writing.replace(None);
        why_not_stored(error)
    }
}

fn why_not_stored(error: &JsValue) -> String {
    if error_name(error) == "QuotaExceededError" {
        "this browser's storage is full".to_owned()
    } else {
        format!("this browser cannot store it ({})", reason(error))
    }
}

/// Bytes of a model that this browser stores as complete files, looked up without a worker.
pub async fn n_bytes_kept(manifest: &Manifest) -> u64 {
    let Ok(database) = Database::open(&MODELS).await else { return 0 };
    let whole = database.numbers(WHOLE).await.unwrap_or_default();
    let is_kept = |file: &&BundleFile| whole.get(&file.sha256) == Some(&file.bytes);
    manifest.files().filter(is_kept).map(|file| file.bytes).sum()
}

/// The address of a model that is on no server, only stored in this browser.
pub fn kept_address(fingerprint: &str) -> String {
    format!("{KEPT}{fingerprint}")
}

pub fn is_kept_only(url: &str) -> bool {
    url.starts_with(KEPT)
}

const KEPT: &str = "kept:";

/// The manifest that was last stored for an address, for a page that is offline.
pub async fn stored_manifest(url: &str) -> Option<String> {
    let database = Database::open(&MODELS).await.ok()?;
    let records = inventory::records(&database).await.ok()?;
    inventory::newest(records.into_iter().map(|(_, record)| record), url)
}
