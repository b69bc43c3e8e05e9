//! What this browser keeps of models: asked of the running engine, or of a worker of its own while
//! no model is loaded.

mod words;

use boomerang_engine::fetch::{FetchError, Redirects, fetch_text};
use boomerang_engine::messages::{Reply, Request, Space, StoredReport};
use boomerang_engine::notice::Notice;
use boomerang_engine::store::{is_kept_only, space, stored_manifest};
use leptos::prelude::*;
use leptos::task::spawn_local;

pub use words::{Verification, badge, model_in_words, place_in_words, space_in_words};

use crate::browser::backend::Backend;
use crate::browser::engine::Engine;
use crate::browser::worker::Silence;
use crate::state::session::Session;

/// What is known of the store.
#[derive(Clone, Copy)]
pub struct Stored {
    /// `None` until a worker has looked.
    pub report: RwSignal<Option<StoredReport>>,
    /// Of the model that was verified last.
    pub verification: RwSignal<Option<Verification>>,
    /// Why what arrives is not kept.
    pub not_kept: RwSignal<Option<String>>,
    /// What the store could not do.
    pub failure: RwSignal<Option<Notice>>,
    /// As far as the browser says.
    pub space: RwSignal<Option<Space>>,
    /// Whether the browser clears nothing away by itself.
    pub is_persisted: RwSignal<Option<bool>>,
    /// Whether the manifest is the stored one, for want of a network.
    pub is_offline: RwSignal<bool>,
    /// The worker that answers while no engine runs.
    keeper: StoredValue<Option<Engine>, LocalStorage>,
    /// What to ask it once it listens; `None` from then on.
    waiting: StoredValue<Option<Vec<Request>>>,
}

impl Stored {
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

    /// The manifest at an address, or the one that was stored of it when no server answers.
    ///
    /// # Errors
    /// Why it could not be fetched.
    pub async fn manifest(self, url: &str, redirects: Redirects) -> Result<String, FetchError> {
        if is_kept_only(url) {
            let gone = || FetchError::NotKept { path: "the model of this address".to_owned() };
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

    /// Takes in what a worker says of the store.
    pub fn hear(self, reply: Reply) {
        match reply {
            Reply::Stored { report } => {
                self.report.set(Some(report));
                self.ask_browser();
            }
            Reply::Verified { fingerprint, path, state, n_done, n_files } => {
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
            Reply::NotKept { why, space } => self.not_kept.set(Some(words::not_kept(&why, space))),
            Reply::StoreFailed { notice } | Reply::Failed { id: None, notice } => {
                self.failure.set(Some(notice));
            }
            _ => {}
        }
    }

    /// Asks the browser to clear nothing away by itself.
    pub fn persist(self) {
        spawn_local(async move { self.is_persisted.set(space::persist().await) });
    }

    /// Ends the worker that only looks after the store.
    pub fn rest(self) {
        // Not at once: this may be called from one of its messages.
        spawn_local(async move { self.keeper.set_value(None) });
    }

    fn ask_browser(self) {
        spawn_local(async move {
            self.space.set(space::estimate().await);
            self.is_persisted.set(space::is_persisted().await);
        });
    }

    /// Asks the worker that only looks after the store, starting it if need be. It is the one for
    /// the CPU, which is small and runs everywhere.
    fn ask_keeper(self, request: Request) {
        if self.keeper.with_value(Option::is_none) {
            self.waiting.set_value(Some(Vec::new()));
            let hear = move |heard: Result<(Reply, _), Silence>| match heard {
                Ok((reply, _)) => self.hear_keeper(reply),
                Err(silence) => self.failure.set(Some(silence.notice())),
            };
            match Engine::start(Backend::Cpu.script(), hear) {
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
            self.send_to_keeper(&request);
        }
    }

    fn hear_keeper(self, reply: Reply) {
        match reply {
            Reply::Ready { .. } => {
                let waiting = self.waiting.try_update_value(Option::take).flatten();
                for request in waiting.unwrap_or_default() {
                    self.send_to_keeper(&request);
                }
            }
            reply => self.hear(reply),
        }
    }

    fn send_to_keeper(self, request: &Request) {
        self.keeper.with_value(|keeper| {
            if let Some(keeper) = keeper {
                keeper.ask(request);
            }
        });
    }
}

impl Default for Stored {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// Has the store looked at, with or without a model.
    pub fn look_at_store(self) {
        self.ask_store(Request::Stored);
    }

    /// Has a model's stored files compared with their hashes.
    pub fn verify_stored(self, fingerprint: String) {
        let verification = Verification { fingerprint: fingerprint.clone(), ..Default::default() };
        self.stored.verification.set(Some(verification));
        self.ask_store(Request::Verify { fingerprint });
    }

    /// Has a model deleted from the store; one that is loaded goes on writing.
    pub fn delete_stored(self, fingerprint: String) {
        self.stored.failure.set(None);
        self.ask_store(Request::Delete { fingerprint });
    }

    fn ask_store(self, request: Request) {
        if self.has_engine() {
            self.ask(&request);
        } else {
            self.stored.ask_keeper(request);
        }
    }
}
