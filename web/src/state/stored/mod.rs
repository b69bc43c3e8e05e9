//! The models stored in this browser: requested from the running engine, or from a separate worker
//! while no model is loaded.

mod words;

use boomerang_engine::fetch::{FetchError, Redirects, fetch_text};
use boomerang_engine::messages::{Request, StorageSpace, StoreReply, StoreRequest, StoredReport};
use boomerang_engine::notice::Notice;
use boomerang_engine::store::{is_kept_only, space, stored_manifest};
use leptos::prelude::*;
use leptos::task::spawn_local;

pub use words::{Verification, badge, model_in_words, space_in_words, storage_in_words};

use crate::browser::backend::Backend;
use crate::browser::engine::{Engine, EngineClient};
use crate::browser::worker::WorkerFailure;
use crate::state::session::Session;

/// The state of the store.
#[derive(Clone, Copy)]
pub struct StoredModels {
    /// `None` until a worker has reported it.
    pub report: RwSignal<Option<StoredReport>>,
    /// Of the last verified model.
    pub verification: RwSignal<Option<Verification>>,
    /// Why downloaded files are not stored.
    pub not_kept: RwSignal<Option<String>>,
    /// Why the last change of the store failed.
    pub failure: RwSignal<Option<Notice>>,
    /// As far as the browser reports it.
    pub space: RwSignal<Option<StorageSpace>>,
    /// Whether the browser never evicts stored data.
    pub is_persisted: RwSignal<Option<bool>>,
    /// Whether the manifest is the stored one, because the page is offline.
    pub is_offline: RwSignal<bool>,
    /// The worker that answers while no engine runs.
    keeper: StoredValue<Option<Engine>, LocalStorage>,
    /// Requests until it listens; `None` from then on.
    waiting: StoredValue<Option<Vec<StoreRequest>>>,
}

impl StoredModels {
    pub fn new() -> Self {
        Self {
            report: RwSignal::new(None),
            verification: RwSignal::new(None),
            not_kept: RwSignal::new(None),
            failure: RwSignal::new(None),
            space: RwSignal::new(None),
            is_persisted: RwSignal::new(None),
            is_offline: RwSignal::new(false),
            keeper: StoredValue::new_local(None),
            waiting: StoredValue::new(None),
        }
    }

    /// The manifest at an address, or the stored one when the server does not respond.
    ///
    /// # Errors
    /// Why it could not be fetched.
    pub async fn manifest(self, url: &str, redirects: Redirects) -> Result<String, FetchError> {
        if is_kept_only(url) {
            let gone = || FetchError::NotStored { path: "the model of this address".to_owned() };
            return stored_manifest(url).await.ok_or_else(gone);
        }
        let error = match fetch_text(url, redirects).await {
            Err(error @ FetchError::NoAnswer { .. }) => error,
            other => return other,
        };
        let stored = stored_manifest(url).await.ok_or(error)?;
        self.is_offline.set(true);
        Ok(stored)
    }

    /// Updates the state with a reply about the store.
    pub fn on_reply(self, reply: StoreReply) {
        match reply {
            StoreReply::Listed { report } => {
                self.report.set(Some(report));
                self.ask_browser();
            }
            StoreReply::Verified { fingerprint, path, state, n_done, n_files } => {
                let is_first = n_done == 1;
                self.verification.update(|verification| {
                    let verification = verification.get_or_insert_default();
                    if is_first {
                        *verification = Verification { fingerprint, ..Verification::default() };
                    }
                    (verification.n_done, verification.n_files) = (n_done, n_files);
                    verification.add(path, state);
                });
            }
            StoreReply::NotKept { why, space } => {
                self.not_kept.set(Some(words::not_kept(&why, space)));
            }
            StoreReply::Failed { notice } => self.failure.set(Some(notice)),
        }
    }

    /// Asks the browser not to evict stored data.
    pub fn persist(self) {
        spawn_local(async move { self.is_persisted.set(space::persist().await) });
    }

    /// Terminates the worker that only manages the store.
    pub fn end_keeper(self) {
        // Not at once: this may be called from one of its messages.
        spawn_local(async move { self.keeper.set_value(None) });
    }

    fn ask_browser(self) {
        spawn_local(async move {
            self.space.set(space::estimate().await);
            self.is_persisted.set(space::is_persisted().await);
        });
    }

    /// Asks the worker that only manages the store, starting it if necessary. It is the one for the
    /// CPU, which is small and runs everywhere.
    fn ask_keeper(self, request: StoreRequest) {
        if self.keeper.with_value(Option::is_none) {
            self.waiting.set_value(Some(Vec::new()));
            match Engine::start(Backend::Cpu.script(), self) {
                Ok(engine) => self.keeper.set_value(Some(engine)),
                Err(notice) => self.failure.set(Some(notice)),
            }
        }
        let request = self.waiting.try_update_value(|waiting| match waiting {
            Some(waiting) => {
                waiting.push(request);
                None
            }
            None => Some(request),
        });
        if let Some(request) = request.flatten() {
            self.send_to_keeper(request);
        }
    }

    fn send_to_keeper(self, request: StoreRequest) {
        self.keeper.with_value(|keeper| {
            if let Some(keeper) = keeper {
                keeper.ask(&Request::Store(request));
            }
        });
    }
}

/// The replies of the worker that only manages the store.
impl EngineClient for StoredModels {
    fn on_ready(&self) {
        let waiting = self.waiting.try_update_value(Option::take).flatten();
        for request in waiting.unwrap_or_default() {
            self.send_to_keeper(request);
        }
    }

    fn on_failure(&self, failure: WorkerFailure) {
        self.failure.set(Some(failure.notice()));
    }

    fn on_store_reply(&self, reply: StoreReply) {
        self.on_reply(reply);
    }
}

impl Default for StoredModels {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// Lists the stored models.
    pub fn list_stored(self) {
        self.ask_store(StoreRequest::List);
    }

    /// Compares a model's stored files with their hashes.
    pub fn verify_stored(self, fingerprint: String) {
        let verification = Verification { fingerprint: fingerprint.clone(), ..Default::default() };
        self.stored.verification.set(Some(verification));
        self.ask_store(StoreRequest::Verify { fingerprint });
    }

    /// Deletes a model from the store; if it is loaded, it can still generate.
    pub fn delete_stored(self, fingerprint: String) {
        self.stored.failure.set(None);
        self.ask_store(StoreRequest::Delete { fingerprint });
    }

    fn ask_store(self, request: StoreRequest) {
        if self.has_engine() {
            self.ask(&Request::Store(request));
        } else {
            self.stored.ask_keeper(request);
        }
    }
}
