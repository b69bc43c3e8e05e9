//! How the model is loaded: the manifest at once, the weights on request.

use std::collections::HashSet;
use std::sync::Arc;

use boomerang_core::bundle::{BundleFile, Recordings, TaskFile};
use boomerang_engine::fetch::{FetchError, beside, fetch_bytes, read_blob};
use boomerang_engine::messages::{FamilyRequest, Request};
use boomerang_engine::notice::{Notice, chain};
use boomerang_engine::store::{is_kept_only, n_bytes_kept};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::{Activity, Deferred, FamilySource, Progress, Session, Stage};
use crate::browser::backend::{Backend, BackendChoice};
use crate::browser::bundle_source::{NoSource, is_elsewhere, manifest_url};
use crate::browser::engine::Engine;
use crate::browser::location::opened_link;
use crate::browser::offline;
use crate::family::FamilyCard;
use crate::state::request_status::RequestStatus;

impl Session {
    /// Loads the model, whose size the user has seen.
    pub fn load(self) {
        self.load_then(None);
    }

    /// Loads the model, then runs what was requested of it.
    pub(super) fn load_then(self, then: Option<Deferred>) {
        // The previous engine must not reply while the next one is chosen.
        self.engine.set_value(None);
        self.begin_loading(then);
        // Whether the GPU fits it is not known yet; whether a browser can read its largest matrix is.
        if let Some(notice) = self.memory_refusal(Backend::WebGpu) {
            self.activity.set(Activity::Failed(notice));
            return;
        }
        spawn_local(async move {
            let largest = self.family.with_untracked(|family| {
                family.as_ref().map_or(0, |family| family.largest_tensor_bytes())
            });
            match BackendChoice::make(largest).await {
                Ok(choice) => self.start_engine(choice),
                Err((choice, notice)) => {
                    self.choice.set(Some(choice));
                    self.activity.set(Activity::Failed(notice));
                }
            }
        });
    }

    /// Resumes loading the rest of the model after an interruption.
    pub fn load_rest(self) {
        self.activity.update(|activity| activity.set_progress(Progress::default()));
        let FamilySource { manifest_url, manifest, .. } = self.source.get_value();
        let n_sizes = self.update_memory_limit();
        self.ask(&Request::Family(FamilyRequest::Load { manifest_url, manifest, n_sizes }));
    }

    /// Loads the model without the GPU.
    pub fn load_on_cpu(self) {
        self.begin_loading(None);
        self.start_engine(BackendChoice {
            backend: Backend::Cpu,
            reason: "as selected here".to_owned(),
            is_forced: true,
        });
    }

    /// The files that were loaded were the previous engine's.
    pub(super) fn begin_loading(self, then: Option<Deferred>) {
        self.loaded_files.set(HashSet::new());
        self.stored.not_kept.set(None);
        self.activity.set(Activity::Loading { progress: Progress::default(), then });
    }

    /// Fetches the manifest and the bundle's other small files.
    pub(super) async fn open_bundle(self) -> Result<(), Notice> {
        let (manifest_url, redirects) = match manifest_url() {
            Ok(source) => source,
            Err(NoSource::Unusable(notice)) => return Err(notice),
            Err(NoSource::Foreign { origin }) => {
                self.activity.set(Activity::AskingForServer { origin });
                return Ok(());
            }
        };
        let manifest = self.stored.manifest(&manifest_url, redirects).await.map_err(|error| {
            let next = match &error {
                FetchError::NotStored { .. } => "Upload its files again, in the view Models.",
                FetchError::Redirected { .. } => {
                    "Open the bundle at its final address; the page asks before it fetches from \
                     another server."
                }
                _ if is_elsewhere(&manifest_url) => {
                    "Check the address; its server must allow requests from this page (CORS)."
                }
                _ => "Check that the bundle folder is next to the page, then reload.",
            };
            Notice::new("The model could not be opened.", error, next)
        })?;
        if !self.is_stage(&Stage::Opening) {
            // The user has uploaded another family meanwhile.
            return Ok(());
        }
        let family = FamilyCard::from_json(&manifest).map_err(|error| {
            Notice::new("The model cannot be used.", chain(&error), error.remedy())
        })?;
        let order = opened_link().order.unwrap_or_default();
        let family = Arc::new(family.in_order(order));
        self.source.set_value(FamilySource { manifest_url, manifest, is_kept: true });
        self.family.set(Some(Arc::clone(&family)));
        self.activity.set(Activity::Offered);
        self.expect_memory(family.largest_tensor_bytes());
        self.open_recordings(&family).await;
        self.n_stored_bytes.set(n_bytes_kept(family.manifest()).await);
        // Questions are fetched by the view that asks them.
        let mut files = self.small_files();
        let is_of_task = |url: &String| {
            family.manifest().task.as_ref().is_some_and(|task| url.ends_with(&task.path))
        };
        files.retain(|url| !is_of_task(url));
        offline::prepare(&files).await;
        Ok(())
    }

    /// Which sizes will fit in memory, shown before anything is fetched.
    fn expect_memory(self, largest_tensor_bytes: u64) {
        spawn_local(async move {
            let choice = BackendChoice::make(largest_tensor_bytes).await;
            let (Ok(choice) | Err((choice, _))) = choice;
            if self.is_stage(&Stage::Offered) {
                self.limit_memory(choice.backend);
            }
        });
    }

    /// What its members generated when the bundle was made; without it, the page shows no recordings.
    pub(super) async fn open_recordings(self, family: &FamilyCard) {
        let manifest = family.manifest();
        if let Some(bytes) = self.fetch_extra(manifest.recordings.as_ref()).await
            && self.is_on_dial(family)
            && let Ok(recordings) = Recordings::from_json(&bytes, manifest)
        {
            self.recordings.set(Some(Arc::new(recordings)));
        }
    }

    /// Fetches the bundle's questions for measuring its members, for a view that needs them.
    pub fn open_task(self) {
        let Some(family) = self.family.get_untracked() else { return };
        if self.task.with_untracked(Option::is_some) {
            return;
        }
        spawn_local(async move {
            let manifest = family.manifest();
            if let Some(bytes) = self.fetch_extra(manifest.task.as_ref()).await
                && self.is_on_dial(&family)
                && let Ok(task) = TaskFile::from_json(&bytes, manifest)
            {
                self.task.set(Some(Arc::new(task)));
            }
        });
    }

    fn is_on_dial(self, family: &FamilyCard) -> bool {
        self.family.with_untracked(|now| {
            now.as_ref().is_some_and(|now| now.fingerprint() == family.fingerprint())
        })
    }

    /// Caches the page for offline use, now that the complete model is loaded.
    pub(super) fn keep_for_offline(self) {
        let backend = self.choice.with_untracked(|choice| choice.as_ref().map(|it| it.backend));
        let Some(backend) = backend else { return };
        let engine = if backend == Backend::WebGpu { "gpu" } else { "cpu" };
        let files = self.small_files();
        spawn_local(async move { self.is_offline_ready.set(offline::keep(engine, &files).await) });
    }

    /// Addresses of the manifest and the other small files of the bundle, if they are on our server.
    fn small_files(self) -> Vec<String> {
        let manifest_url = self.source.with_value(|source| source.manifest_url.clone());
        // Files that are not on our server are only in the store.
        if is_kept_only(&manifest_url) || is_elsewhere(&manifest_url) {
            return Vec::new();
        }
        let extras = self.family.with_untracked(|family| {
            let Some(family) = family else { return Vec::new() };
            let manifest = family.manifest();
            let extras = manifest.recordings.iter().chain(&manifest.task);
            extras.map(|file| beside(&manifest_url, &file.path)).collect()
        });
        [vec![manifest_url.clone()], extras].concat()
    }

    async fn fetch_extra(self, file: Option<&BundleFile>) -> Option<Vec<u8>> {
        let file = file?;
        let uploaded = self.uploaded.with_value(|uploaded| {
            uploaded.iter().find(|(path, _)| *path == file.path).map(|(_, blob)| blob.clone())
        });
        if let Some(blob) = uploaded {
            return read_blob(&file.path, &blob, file.bytes).await.ok();
        }
        let folder = self.source.with_value(|source| source.manifest_url.clone());
        if is_kept_only(&folder) {
            return None;
        }
        let url = beside(&folder, &file.path);
        fetch_bytes(&url, file.bytes).await.ok()
    }

    pub(super) fn start_engine(self, choice: BackendChoice) {
        // The previous worker, if any, is terminated here and its memory freed.
        self.engine.set_value(None);
        self.forget_engine();
        if let Some(notice) = self.memory_refusal(choice.backend) {
            self.activity.set(Activity::Failed(notice));
            return;
        }
        let script = choice.backend.script();
        self.choice.set(Some(choice));
        match Engine::start(script, self) {
            Ok(engine) => self.engine.set_value(Some(engine)),
            Err(notice) => self.activity.set(Activity::Failed(notice)),
        }
    }

    /// The engine has failed. The CPU replaces a GPU; prompt and texts stay.
    pub(super) fn fail(self, notice: Notice) {
        // A worker that panics reports it, then its death is reported too: only the first is shown.
        if self.has_failed() {
            return;
        }
        let can_use_cpu = self.choice.with_untracked(|choice| {
            choice
                .as_ref()
                .is_some_and(|choice| choice.backend == Backend::WebGpu && !choice.is_forced)
        });
        if !can_use_cpu {
            return self.end(notice);
        }
        self.end_text();
        self.abandon_question(RequestStatus::Failed(notice.clone()));
        let then = self.activity.try_update_untracked(|activity| activity.take_deferred());
        self.begin_loading(then.flatten());
        // Not at once: this is called from a message of the worker that it terminates.
        spawn_local(async move {
            self.start_engine(BackendChoice::after_failure(&notice.why));
        });
    }

    /// No engine can generate. Prompt and texts stay.
    pub(super) fn end(self, notice: Notice) {
        self.end_text();
        self.abandon_question(RequestStatus::Failed(notice.clone()));
        self.activity.set(Activity::Failed(notice));
        // Not at once: this is called from a message of the worker that it terminates.
        spawn_local(async move { self.engine.set_value(None) });
    }
}
