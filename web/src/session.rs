//! What happens on the page: the bundle, the engine, the text being written.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use boomerang_core::plan::Patch;
use boomerang_engine::messages::{PROTOCOL, Reply, Request};
use boomerang_engine::notice::{Notice, chain};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::backend::{Backend, BackendChoice};
use crate::bundle_source::manifest_url;
use crate::engine::Engine;
use crate::family::FamilyCard;
use crate::run::{Run, Task};
use crate::stored::Stored;
use crate::trial::Trial;

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
    /// What is on its way from the server; `None` when nothing is.
    pub progress: RwSignal<Option<Progress>>,
    /// Why the rest of the model does not come.
    pub gap: RwSignal<Option<Notice>>,
    /// Paths of the files that are here.
    pub here: RwSignal<HashSet<String>>,
    /// Several sizes that write side by side.
    pub comparison: RwSignal<Option<Trial>>,
    /// All sizes, along one text.
    pub sweep: RwSignal<Option<Trial>>,
    /// What this browser keeps.
    pub stored: Stored,
    /// What the engine is writing for, while the stage says that it is.
    work: RwSignal<Work>,
    /// Who hears the replies to a request that is neither a text nor a trial.
    hearer: StoredValue<Option<Hearer>, LocalStorage>,
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
    /// Not even the smallest size is here yet.
    Loading,
    /// At least one size can write.
    Ready,
    Generating,
    Failed(Notice),
}

/// What the engine writes for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    Run,
    Trial(RwSignal<Option<Trial>>),
    /// A request of a view's own.
    Asked,
}

/// Takes in what the engine replies to a view's own request.
type Hearer = Rc<dyn Fn(&Reply)>;

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
            Self::Opening | Self::Loading => "loading",
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
            progress: RwSignal::new(None),
            gap: RwSignal::new(None),
            here: RwSignal::new(HashSet::new()),
            comparison: RwSignal::new(None),
            sweep: RwSignal::new(None),
            stored: Stored::new(),
            work: RwSignal::new(Work::Run),
            hearer: StoredValue::new_local(None),
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
        self.begin_loading();
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
        let Source { manifest_url, manifest } = self.source.get_value();
        self.ask(&Request::Load { manifest_url, manifest });
    }

    /// Has what this member lacks fetched before everything else.
    pub fn want(self, patch: Patch) {
        if self.progress.with_untracked(Option::is_some) {
            self.ask(&Request::Want { patch });
        }
    }

    /// Bytes of this member that are not here.
    pub fn n_missing_bytes(self, patch: &Patch) -> u64 {
        self.family.with(|family| {
            let missing = |family: &Arc<FamilyCard>| {
                self.here.with(|here| family.n_missing_bytes(patch, here))
            };
            family.as_ref().map_or(0, missing)
        })
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

    pub fn is_generating(self) -> bool {
        self.stage.with(|stage| *stage == Stage::Generating)
    }

    /// Whether the text in the making is the one for the dial, and not part of a trial.
    pub fn is_writing(self) -> bool {
        self.is_generating() && self.work.with(|work| *work == Work::Run)
    }

    pub fn generate(self, task: Task) {
        if !self.stage.with_untracked(|stage| *stage == Stage::Ready) {
            return;
        }
        let id = self.next_id();
        if let Some(run) = self.run.get_untracked() {
            self.earlier_runs.update(|runs| {
                runs.insert(0, run);
                runs.truncate(N_RUNS_KEPT);
            });
        }
        let Task { patch, size, prompt, n_tokens, sampling } = task;
        self.refusal.set(None);
        self.run.set(Some(Run::new(id, patch.clone(), size, prompt.clone())));
        self.work.set(Work::Run);
        self.stage.set(Stage::Generating);
        self.ask(&Request::Generate { id, patch, prompt, n_tokens, sampling });
    }

    /// Whether the trial at `place` is under way.
    pub fn is_trying(self, place: RwSignal<Option<Trial>>) -> bool {
        self.is_generating() && self.work.with(|work| *work == Work::Trial(place))
    }

    /// Starts a trial and shows it at `place`.
    pub fn try_out(self, place: RwSignal<Option<Trial>>, trial: Trial) {
        if self.stage.with_untracked(|stage| *stage == Stage::Ready) {
            place.set(Some(trial));
            self.work.set(Work::Trial(place));
            self.stage.set(Stage::Generating);
            self.go_on_with(place);
        }
    }

    /// Asks the engine for something that is neither a text nor a trial; `hear` gets all replies, the
    /// last of them [`Reply::Ended`] or [`Reply::Failed`]. False when the engine is at work or not
    /// here, and then nothing is asked.
    pub fn consult(
        self,
        request: impl FnOnce(u32) -> Request,
        hear: impl Fn(&Reply) + 'static,
    ) -> bool {
        if !self.stage.with_untracked(|stage| *stage == Stage::Ready) {
            return false;
        }
        self.hearer.set_value(Some(Rc::new(hear)));
        self.work.set(Work::Asked);
        self.stage.set(Stage::Generating);
        self.ask(&request(self.next_id()));
        true
    }

    pub fn stop(self) {
        if self.stage.with_untracked(|stage| *stage == Stage::Generating) {
            self.ask(&Request::Stop { id: self.last_id.get_value() });
        }
    }

    /// What was here was the last engine's.
    fn begin_loading(self) {
        self.here.set(HashSet::new());
        self.gap.set(None);
        self.stored.not_kept.set(None);
        self.progress.set(Some(Progress::default()));
        self.stage.set(Stage::Loading);
    }

    async fn open_bundle(self) -> Result<(), Notice> {
        let manifest_url = manifest_url()?;
        let manifest = self.stored.manifest(&manifest_url).await.map_err(|error| {
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
            Err(notice) => {
                self.progress.set(None);
                self.stage.set(Stage::Failed(notice));
            }
        }
    }

    pub(crate) fn has_engine(self) -> bool {
        self.engine.with_value(Option::is_some)
    }

    pub(crate) fn ask(self, request: &Request) {
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
                self.stored.rest();
                self.look_at_store();
            }
            Reply::Progress { bytes, total, path } => {
                self.progress.set(Some(Progress { bytes, total, path }));
            }
            Reply::Arrived { path } => self.keep_in_mind(path),
            Reply::Loaded => {
                self.progress.set(None);
                self.look_at_store();
            }
            Reply::LoadFailed { notice } => {
                self.progress.set(None);
                if self.stage.with_untracked(|stage| *stage == Stage::Loading) {
                    self.fail(notice);
                } else {
                    self.gap.set(Some(notice));
                    self.look_at_store();
                }
            }
            reply @ (Reply::Stored { .. }
            | Reply::Verified { .. }
            | Reply::NotKept { .. }
            | Reply::StoreFailed { .. }) => self.stored.hear(reply),
            Reply::Failed { id: None, notice } => self.fail(notice),
            reply => match self.work.get_untracked() {
                Work::Run => self.hear_of_run(reply),
                Work::Asked => self.hear_of_request(&reply),
                Work::Trial(place) => {
                    let is_answered = place
                        .try_update(|trial| trial.as_mut().is_some_and(|trial| trial.hear(reply)));
                    if is_answered == Some(true) {
                        self.go_on_with(place);
                    }
                }
            },
        }
    }

    /// A file is here; the smallest size may be whole with it.
    fn keep_in_mind(self, path: String) {
        self.here.update(|here| {
            here.insert(path);
        });
        let is_loading = self.stage.with_untracked(|stage| *stage == Stage::Loading);
        let has_student = self.family.with_untracked(|family| {
            let family = family.as_ref()?;
            Some(
                self.here.with_untracked(|here| family.n_missing_bytes(&family.path()[0], here))
                    == 0,
            )
        });
        if is_loading && has_student == Some(true) {
            self.stage.set(Stage::Ready);
        }
    }

    fn hear_of_run(self, reply: Reply) {
        let is_done = matches!(reply, Reply::Done { .. } | Reply::Failed { .. });
        if let Reply::Failed { notice, .. } = reply {
            self.refusal.set(Some(notice));
        } else {
            self.run.update(|run| {
                if let Some(run) = run {
                    run.hear(&reply);
                }
            });
        }
        if is_done {
            self.stage.set(Stage::Ready);
        }
    }

    fn hear_of_request(self, reply: &Reply) {
        let is_over = matches!(reply, Reply::Ended { .. } | Reply::Failed { .. });
        let hearer = self.hearer.get_value();
        if is_over {
            self.hearer.set_value(None);
            self.stage.set(Stage::Ready);
        }
        if let Some(hear) = hearer {
            hear(reply);
        }
    }

    /// Asks for what a trial needs next; when that is nothing, it is over.
    fn go_on_with(self, place: RwSignal<Option<Trial>>) {
        let id = self.next_id();
        let request = place.try_update(|trial| trial.as_mut()?.next_request(id)).flatten();
        match request {
            Some(request) => self.ask(&request),
            None => self.stage.set(Stage::Ready),
        }
    }

    fn next_id(self) -> u32 {
        let id = self.last_id.get_value() + 1;
        self.last_id.set_value(id);
        id
    }

    /// The engine is dead, or as good as dead. The prompt and the texts stay.
    fn fail(self, notice: Notice) {
        // A worker that panics says so, and then its death is reported too: the first says more.
        if self.stage.with_untracked(|stage| matches!(stage, Stage::Failed(_))) {
            return;
        }
        self.progress.set(None);
        if let Some(hear) = self.hearer.get_value() {
            self.hearer.set_value(None);
            hear(&Reply::Failed { id: None, notice: notice.clone() });
        }
        let gives_way = self.choice.with_untracked(|choice| {
            choice
                .as_ref()
                .is_some_and(|choice| choice.backend == Backend::WebGpu && !choice.is_forced)
        });
        if gives_way {
            self.begin_loading();
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
