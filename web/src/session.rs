//! What happens on the page: the bundle, the engine, the text being written.

use std::sync::Arc;

use boomerang_engine::fetch::fetch_text;
use boomerang_engine::messages::{PROTOCOL, Reply, Request};
use boomerang_engine::notice::{Notice, chain};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::backend::{Backend, BackendChoice};
use crate::bundle_source::manifest_url;
use crate::engine::Engine;
use crate::family::FamilyCard;
use crate::run::{Piece, Run, Task};

/// Bundles above this size are offered, not fetched by themselves.
const FETCHED_UNASKED: u64 = 64_000_000;

/// Texts kept for comparison.
const N_RUNS_KEPT: usize = 12;

/// The state of the page.
#[derive(Clone, Copy)]
pub struct Session {
    pub stage: RwSignal<Stage>,
    pub family: RwSignal<Option<Arc<FamilyCard>>>,
    pub choice: RwSignal<Option<BackendChoice>>,
    /// The text that is being written, or the last one.
    pub run: RwSignal<Option<Run>>,
    /// Older texts, the newest first.
    pub earlier_runs: RwSignal<Vec<Run>>,
    /// A text that could not be written.
    pub refusal: RwSignal<Option<Notice>>,
    source: StoredValue<Source>,
    engine: StoredValue<Option<Engine>, LocalStorage>,
    last_id: StoredValue<u32>,
}

/// How far the page has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The manifest is on its way.
    Opening,
    /// The model is too large to be fetched without being asked.
    Offered,
    Loading(Progress),
    Ready,
    Generating,
    Failed(Notice),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub bytes: u64,
    pub total: u64,
    /// The file that is arriving; empty before the first.
    pub path: String,
}

#[derive(Clone, Default)]
struct Source {
    manifest_url: String,
    manifest: String,
}

impl Stage {
    /// As in `data-state`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opening | Self::Loading(_) => "loading",
            Self::Offered => "offered",
            Self::Ready => "ready",
            Self::Generating => "generating",
            Self::Failed(_) => "failed",
        }
    }
}

impl Session {
    /// Opens the bundle that the address names, and starts an engine.
    pub fn open() -> Self {
        let session = Self {
            stage: RwSignal::new(Stage::Opening),
            family: RwSignal::new(None),
            choice: RwSignal::new(None),
            run: RwSignal::new(None),
            earlier_runs: RwSignal::new(Vec::new()),
            refusal: RwSignal::new(None),
            source: StoredValue::new(Source::default()),
            engine: StoredValue::new_local(None),
            last_id: StoredValue::new(0),
        };
        spawn_local(async move {
            if let Err(notice) = session.open_bundle().await {
                session.stage.set(Stage::Failed(notice));
            }
        });
        session
    }

    /// Fetches the model; the reader has seen how large it is.
    pub fn load(self) {
        self.stage.set(Stage::Loading(Progress::default()));
        spawn_local(async move {
            let largest = self.family.with_untracked(|family| {
                family.as_ref().map_or(0, |family| family.largest_tensor_bytes())
            });
            self.start_engine(BackendChoice::make(largest).await);
        });
    }

    /// Leaves the GPU alone.
    pub fn load_on_cpu(self) {
        self.stage.set(Stage::Loading(Progress::default()));
        self.start_engine(BackendChoice {
            backend: Backend::Cpu,
            reason: "as chosen here".to_owned(),
            is_forced: true,
        });
    }

    pub fn is_generating(self) -> bool {
        self.stage.with(|stage| *stage == Stage::Generating)
    }

    pub fn generate(self, task: Task) {
        if !self.stage.with_untracked(|stage| *stage == Stage::Ready) {
            return;
        }
        let id = self.last_id.get_value() + 1;
        self.last_id.set_value(id);
        if let Some(run) = self.run.get_untracked() {
            self.earlier_runs.update(|runs| {
                runs.insert(0, run);
                runs.truncate(N_RUNS_KEPT);
            });
        }
        let Task { patch, size, prompt, n_tokens, sampling } = task;
        self.refusal.set(None);
        self.run.set(Some(Run {
            id,
            patch: patch.clone(),
            size,
            prompt: prompt.clone(),
            n_prompt_tokens: None,
            pieces: Vec::new(),
            report: None,
        }));
        self.stage.set(Stage::Generating);
        self.ask(&Request::Generate { id, patch, prompt, n_tokens, sampling });
    }

    pub fn stop(self) {
        if self.stage.with_untracked(|stage| *stage == Stage::Generating) {
            self.ask(&Request::Stop { id: self.last_id.get_value() });
        }
    }

    async fn open_bundle(self) -> Result<(), Notice> {
        let manifest_url = manifest_url()?;
        let manifest = fetch_text(&manifest_url).await.map_err(|error| {
            let next = "Check that the bundle folder lies beside the page, then reload.";
            Notice::new("There is no model to explore.", error, next)
        })?;
        let family = FamilyCard::from_json(&manifest).map_err(|error| {
            let next = "The bundle has to be made again with this version of Boomerang.";
            Notice::new("The model cannot be used.", chain(&error), next)
        })?;
        let n_bytes = family.manifest().n_bytes();
        self.source.set_value(Source { manifest_url, manifest });
        self.family.set(Some(Arc::new(family)));
        if n_bytes <= FETCHED_UNASKED {
            self.load();
        } else {
            self.stage.set(Stage::Offered);
        }
        Ok(())
    }

    fn start_engine(self, choice: BackendChoice) {
        let script = choice.backend.script();
        self.choice.set(Some(choice));
        // The worker before it, if any, ends here and gives its memory back.
        self.engine.set_value(None);
        match Engine::start(script, move |reply| self.hear(reply)) {
            Ok(engine) => self.engine.set_value(Some(engine)),
            Err(notice) => self.stage.set(Stage::Failed(notice)),
        }
    }

    fn ask(self, request: &Request) {
        self.engine.with_value(|engine| {
            if let Some(engine) = engine {
                engine.ask(request);
            }
        });
    }

    fn hear(self, reply: Reply) {
        match reply {
            Reply::Ready { protocol } if protocol != PROTOCOL => {
                let why = format!("the page speaks version {PROTOCOL}, the model {protocol}");
                let notice = Notice::new(
                    "Page and model are from different builds.",
                    why,
                    "Reload the page, past the browser's cache if need be.",
                );
                self.stage.set(Stage::Failed(notice));
            }
            Reply::Ready { .. } => {
                let Source { manifest_url, manifest } = self.source.get_value();
                self.ask(&Request::Load { manifest_url, manifest });
            }
            Reply::Progress { bytes, total, path } => {
                self.stage.set(Stage::Loading(Progress { bytes, total, path }));
            }
            Reply::Loaded => self.stage.set(Stage::Ready),
            Reply::Started { id, prompt_tokens } => {
                self.update_run(id, |run| run.n_prompt_tokens = Some(prompt_tokens.len()));
            }
            Reply::Token { id, token, text } => {
                self.update_run(id, |run| run.pieces.push(Piece { token, text }));
            }
            Reply::Done { id, text, report } => {
                self.update_run(id, |run| {
                    if let Some(last) = run.pieces.last_mut() {
                        last.text.push_str(&text);
                    }
                    run.report = Some(report);
                });
                self.stage.set(Stage::Ready);
            }
            Reply::Failed { id: Some(_), notice } => {
                self.refusal.set(Some(notice));
                self.stage.set(Stage::Ready);
            }
            Reply::Failed { id: None, notice } => self.fail(notice),
        }
    }

    fn update_run(self, id: u32, update: impl FnOnce(&mut Run)) {
        self.run.update(|run| {
            if let Some(run) = run.as_mut().filter(|run| run.id == id) {
                update(run);
            }
        });
    }

    /// The engine is dead, or as good as dead. The prompt and the texts stay.
    fn fail(self, notice: Notice) {
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
            self.stage.set(Stage::Loading(Progress::default()));
            // Not at once: this is called from a message of the worker that it ends.
            spawn_local(async move {
                self.start_engine(BackendChoice::after_failure(&notice.why));
            });
        } else {
            self.stage.set(Stage::Failed(notice));
            spawn_local(async move { self.engine.set_value(None) });
        }
    }
}
