//! How the model comes: the manifest at once, the weights when they are asked for.

use std::collections::HashSet;
use std::sync::Arc;

use boomerang_core::bundle::{BundleFile, Recordings, TaskFile};
use boomerang_engine::fetch::{FetchError, beside, fetch_bytes, read_blob};
use boomerang_engine::messages::{Reply, Request};
use boomerang_engine::notice::{Notice, chain};
use boomerang_engine::store::{is_kept_only, n_bytes_kept};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::{Progress, Session, Source, Stage};
use crate::browser::backend::{Backend, BackendChoice};
use crate::browser::bundle_source::{NoSource, is_elsewhere, manifest_url};
use crate::browser::engine::Engine;
use crate::browser::location::opened_link;
use crate::browser::offline;
use crate::browser::worker::Silence;
use crate::family::FamilyCard;

impl Session {
    /// Fetches the model; the reader has seen how large it is.
    pub fn load(self) {
        // The engine before it has nothing to say any more, while the next one is chosen.
        self.engine.set_value(None);
        self.begin_loading();
        // A GPU that has room is not known yet; a matrix that no browser reads is.
        if let Some(notice) = self.refusal(Backend::WebGpu) {
            self.progress.set(None);
            self.stage.set(Stage::Failed(notice));
            return;
        }
        spawn_local(async move {
            let largest = self.family.with_untracked(|family| {
                family.as_ref().map_or(0, |family| family.largest_tensor_bytes())
            });
            self.start_engine(BackendChoice::make(largest).await);
        });
    }

    /// Goes on with the rest of the model after it did not come.
    pub fn load_rest(self) {
        self.gap.set(None);
        self.progress.set(Some(Progress::default()));
        let Source { manifest_url, manifest, .. } = self.source.get_value();
        let n_sizes = self.measure_room();
        self.ask(&Request::Load { manifest_url, manifest, n_sizes });
    }

    /// Leaves the GPU alone.
    pub fn load_on_cpu(self) {
        self.begin_loading();
        self.start_engine(BackendChoice {
            backend: Backend::Cpu,
            reason: "as chosen here".to_owned(),
            is_forced: true,
        });
    }

    /// What was here was the last engine's.
    pub(super) fn begin_loading(self) {
        self.here.set(HashSet::new());
        self.gap.set(None);
        self.stored.not_kept.set(None);
        self.progress.set(Some(Progress::default()));
        self.stage.set(Stage::Loading);
    }

    /// Fetches the manifest and what the bundle tells beside its weights.
    pub(super) async fn open_bundle(self) -> Result<(), Notice> {
        let (manifest_url, redirects) = match manifest_url() {
            Ok(source) => source,
            Err(NoSource::Unusable(notice)) => return Err(notice),
            Err(NoSource::Foreign { origin }) => {
                self.stage.set(Stage::Asking { origin });
                return Ok(());
            }
        };
        let manifest = self.stored.manifest(&manifest_url, redirects).await.map_err(|error| {
            let next = match &error {
                FetchError::NotKept { .. } => {
                    "Bring its files again, on the view of what is stored."
                }
                FetchError::SentOn { .. } => {
                    "Open the bundle at the address where it is; the page asks before it fetches \
                     from another server."
                }
                _ if is_elsewhere(&manifest_url) => {
                    "Check the address; its server has to allow this page to read from it (CORS)."
                }
                _ => "Check that the bundle folder lies beside the page, then reload.",
            };
            Notice::new("There is no model to explore.", error, next)
        })?;
        if self.stage.with_untracked(|stage| *stage != Stage::Opening) {
            // The reader has brought another family meanwhile.
            return Ok(());
        }
        let family = FamilyCard::from_json(&manifest).map_err(|error| {
            let next = "The bundle has to be made again with this version of Boomerang.";
            Notice::new("The model cannot be used.", chain(&error), next)
        })?;
        let order = opened_link().order.unwrap_or_default();
        let family = Arc::new(family.in_order(order));
        self.source.set_value(Source { manifest_url, manifest, is_kept: true });
        self.family.set(Some(Arc::clone(&family)));
        self.stage.set(Stage::Offered);
        self.open_recordings(&family).await;
        self.n_bytes_kept.set(n_bytes_kept(family.manifest()).await);
        Ok(())
    }

    /// What its members wrote when the bundle was made. Where it does not come, the page is without it.
    pub(super) async fn open_recordings(self, family: &FamilyCard) {
        let manifest = family.manifest();
        if let Some(bytes) = self.fetch_extra(manifest.recordings.as_ref()).await
            && self.is_on_dial(family)
            && let Ok(recordings) = Recordings::from_json(&bytes, manifest)
        {
            self.recordings.set(Some(Arc::new(recordings)));
        }
    }

    /// Fetches what the bundle brings for measuring its members, for a view that is about that.
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

    /// Has the page kept for the time without a network, now that all of the model is here.
    pub(super) fn keep_for_offline(self) {
        let engine =
            self.choice.with_untracked(|choice| choice.as_ref().map(|it| it.backend.name()));
        let files = self.family.with_untracked(|family| {
            let manifest_url = self.source.with_value(|source| source.manifest_url.clone());
            let manifest = family.as_ref()?.manifest();
            let extras = [&manifest.recordings, &manifest.task].into_iter().flatten();
            let extras = extras.map(|file| beside(&manifest_url, &file.path));
            let extras: Vec<String> = extras.collect();
            // What no server of ours has is in the store, or nowhere.
            let is_ours = !is_kept_only(&manifest_url) && !is_elsewhere(&manifest_url);
            Some(if is_ours { [vec![manifest_url], extras].concat() } else { Vec::new() })
        });
        let (Some(engine), Some(files)) = (engine, files) else { return };
        let engine = if engine == Backend::WebGpu.name() { "gpu" } else { "cpu" };
        spawn_local(async move { self.is_kept.set(offline::keep(engine, &files).await) });
    }

    async fn fetch_extra(self, file: Option<&BundleFile>) -> Option<Vec<u8>> {
        let file = file?;
        let brought = self.brought.with_value(|brought| {
            brought.iter().find(|(path, _)| *path == file.path).map(|(_, blob)| blob.clone())
        });
        if let Some(brought) = brought {
            return read_blob(&file.path, &brought, file.bytes).await.ok();
        }
        let folder = self.source.with_value(|source| source.manifest_url.clone());
        if is_kept_only(&folder) {
            return None;
        }
        let url = beside(&folder, &file.path);
        fetch_bytes(&url, file.bytes).await.ok()
    }

    fn start_engine(self, choice: BackendChoice) {
        // The worker before it, if any, ends here and gives its memory back.
        self.engine.set_value(None);
        if let Some(notice) = self.refusal(choice.backend) {
            self.progress.set(None);
            self.stage.set(Stage::Failed(notice));
            return;
        }
        let script = choice.backend.script();
        self.choice.set(Some(choice));
        let hear = move |heard: Result<(Reply, _), Silence>| match heard {
            Ok((reply, _)) => self.hear(reply),
            Err(Silence::Dead(notice)) => self.fail(notice),
            // No fault of the GPU's, and not mended by the CPU.
            Err(Silence::Foreign(notice)) => self.end(notice),
        };
        match Engine::start(script, hear) {
            Ok(engine) => self.engine.set_value(Some(engine)),
            Err(notice) => {
                self.progress.set(None);
                self.stage.set(Stage::Failed(notice));
            }
        }
    }

    /// The engine is dead, or as good as dead; the CPU takes the place of a GPU. The prompt and the
    /// texts stay.
    pub(super) fn fail(self, notice: Notice) {
        // A worker that panics says so, and then its death is reported too: the first says more.
        if self.stage.with_untracked(|stage| matches!(stage, Stage::Failed(_))) {
            return;
        }
        let gives_way = self.choice.with_untracked(|choice| {
            choice
                .as_ref()
                .is_some_and(|choice| choice.backend == Backend::WebGpu && !choice.is_forced)
        });
        if gives_way {
            self.tell_hearer(&notice);
            self.begin_loading();
            // Not at once: this is called from a message of the worker that it ends.
            spawn_local(async move {
                self.start_engine(BackendChoice::after_failure(&notice.why));
            });
        } else {
            self.end(notice);
        }
    }

    /// Nothing can write, and no other engine could. The prompt and the texts stay.
    pub(super) fn end(self, notice: Notice) {
        self.progress.set(None);
        self.tell_hearer(&notice);
        self.pending.set_value(None);
        self.stage.set(Stage::Failed(notice));
        // Not at once: this is called from a message of the worker that it ends.
        spawn_local(async move { self.engine.set_value(None) });
    }

    /// Whoever waits for an answer waits in vain.
    fn tell_hearer(self, notice: &Notice) {
        if let Some(hear) = self.hearer.get_value() {
            self.hearer.set_value(None);
            hear(&Reply::Failed { id: None, notice: notice.clone() });
        }
    }
}
