//! What is stored in this browser.

use serde::{Deserialize, Serialize};

use crate::notice::Notice;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreRequest {
    /// Report what is stored.
    List,
    /// Compare the stored files of this model with their hashes.
    Verify { fingerprint: String },
    /// Delete this model and the files that no other stored model uses.
    Delete { fingerprint: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StoreReply {
    Listed {
        report: StoredReport,
    },
    /// A stored file was compared with its hash; the last one has `n_done == n_files`.
    Verified {
        fingerprint: String,
        path: String,
        state: FileState,
        n_done: usize,
        n_files: usize,
    },
    /// Files that are fetched from now on are not stored for the next visit.
    NotKept {
        why: String,
        space: Option<StorageSpace>,
    },
    /// A change of the store has failed.
    Failed {
        notice: Notice,
    },
}

/// What is stored in this browser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredReport {
    pub storage: StorageKind,
    /// Why no better kind is used.
    pub why: Option<String>,
    pub models: Vec<StoredModel>,
}

/// Where files are stored, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StorageKind {
    PrivateFiles,
    IndexedDb,
    /// Until the page is closed.
    Memory,
}

/// How much of a model is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredModel {
    pub name: String,
    pub fingerprint: String,
    /// Of its manifest, as it was last loaded.
    pub url: String,
    /// Complete files.
    pub n_stored_files: usize,
    pub n_files: usize,
    /// Of complete files.
    pub n_stored_bytes: u64,
    pub n_bytes: u64,
    /// Of incomplete files.
    pub n_partial_bytes: u64,
}

impl StoredModel {
    /// Whether it can be used without a network.
    pub fn is_complete(&self) -> bool {
        self.n_stored_files == self.n_files
    }
}

/// How a stored file compares with its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileState {
    Intact,
    /// It was deleted.
    Damaged,
    /// Not stored, or only partly.
    Missing,
}

/// How much the browser lets the page's origin store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageSpace {
    pub used_bytes: u64,
    pub quota_bytes: u64,
}
