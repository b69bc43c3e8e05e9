//! What happens on the page: the bundle, the engine, the text being written.
//!
//! What the reader asks for is here; how the model comes is in `loading.rs`, what the engine
//! answers in `replies.rs`, and how another family takes its place in `adopting.rs`.

mod adopting;
mod loading;
mod memory;
mod replies;
mod stage;

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use boomerang_core::bundle::{Recordings, TaskFile};
use boomerang_core::plan::Patch;
use boomerang_engine::messages::{Reply, Request};
use boomerang_engine::notice::Notice;
use leptos::prelude::*;
use leptos::task::spawn_local;

pub use adopting::{Home, Newcomer};
pub use stage::{Progress, Stage};

use crate::browser::backend::BackendChoice;
use crate::browser::engine::Engine;
use crate::browser::files::NamedFile;
use crate::browser::location::opened_link;
use crate::family::FamilyCard;
use crate::state::run::{Run, Task};
use crate::state::stored::Stored;
use crate::state::trial::Trial;

/// Texts kept for comparison.
const N_RUNS_KEPT: usize = 12;

/// The state of the page.
#[derive(Clone, Copy)]
pub struct Session {
    pub stage: RwSignal<Stage>,
    pub family: RwSignal<Option<Arc<FamilyCard>>>,
    /// What members wrote when the bundle was made, if it says so.
    pub recordings: RwSignal<Option<Arc<Recordings>>>,
    /// What the bundle brings for measuring its members, once a view has asked for it.
    pub task: RwSignal<Option<Arc<TaskFile>>>,
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
    /// What has room here, when not all has: how many sizes, and that in words.
    pub tight: RwSignal<Option<(usize, String)>>,
    /// Paths of the files that are here.
    pub here: RwSignal<HashSet<String>>,
    /// Bytes of the family that this browser keeps already, as far as is known.
    pub n_bytes_kept: RwSignal<u64>,
    /// Whether the page works without a network from now on.
    pub is_kept: RwSignal<bool>,
    /// Several sizes that write side by side.
    pub comparison: RwSignal<Option<Trial>>,
    /// All sizes, along one text.
    pub sweep: RwSignal<Option<Trial>>,
    /// What this browser keeps.
    pub stored: Stored,
    /// Whether the text in the making, or the last one, stood there with other chances.
    is_redrawing: StoredValue<bool>,
    /// What the engine is writing for, while the stage says that it is.
    work: RwSignal<Work>,
    /// Who hears the replies to a request that is neither a text nor a trial.
    hearer: StoredValue<Option<Hearer>, LocalStorage>,
    /// What to do once the model is here.
    pending: StoredValue<Option<Pending>, LocalStorage>,
    source: StoredValue<Source>,
    /// The folder by which the page was opened, unless it was its own.
    opened_bundle: StoredValue<Option<String>>,
    /// The bundle, while another family is on the dial.
    original: RwSignal<Option<Source>>,
    /// Files of that family which no server has.
    brought: StoredValue<Vec<NamedFile>, LocalStorage>,
    engine: StoredValue<Option<Engine>, LocalStorage>,
    last_id: StoredValue<u32>,
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

/// Something that waits for the model.
type Pending = Box<dyn FnOnce()>;

#[derive(Clone, Default, PartialEq)]
struct Source {
    manifest_url: String,
    manifest: String,
    /// Whether the family is kept for the next visit.
    is_kept: bool,
}

impl Session {
    /// Opens the bundle that the address names; its weights wait until somebody asks.
    pub fn open() -> Self {
        let session = Self {
            stage: RwSignal::new(Stage::Opening),
            family: RwSignal::new(None),
            recordings: RwSignal::new(None),
            task: RwSignal::new(None),
            choice: RwSignal::new(None),
            run: RwSignal::new(None),
            earlier_runs: RwSignal::new(Vec::new()),
            refusal: RwSignal::new(None),
            progress: RwSignal::new(None),
            gap: RwSignal::new(None),
            tight: RwSignal::new(None),
            here: RwSignal::new(HashSet::new()),
            n_bytes_kept: RwSignal::new(0),
            is_kept: RwSignal::new(false),
            comparison: RwSignal::new(None),
            sweep: RwSignal::new(None),
            stored: Stored::new(),
            is_redrawing: StoredValue::new(false),
            work: RwSignal::new(Work::Run),
            hearer: StoredValue::new_local(None),
            pending: StoredValue::new_local(None),
            source: StoredValue::new(Source::default()),
            opened_bundle: StoredValue::new(opened_link().bundle),
            original: RwSignal::new(None),
            brought: StoredValue::new_local(Vec::new()),
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

    pub fn is_generating(self) -> bool {
        self.stage.with(|stage| *stage == Stage::Generating)
    }

    /// Whether something is being done, or fetched to be done.
    pub fn is_at_work(self) -> bool {
        self.stage.with(|stage| matches!(stage, Stage::Generating | Stage::Loading))
    }

    /// Whether the text in the making is the one for the dial, and not part of a trial.
    pub fn is_writing(self) -> bool {
        self.is_generating() && self.work.with(|work| *work == Work::Run)
    }

    /// Whether something can be asked of the model: it is idle, or would be fetched for it.
    pub fn can_ask(self) -> bool {
        self.stage.with(|stage| matches!(stage, Stage::Ready | Stage::Offered))
    }

    /// Does something with the model; when that is not here yet, it is fetched first. False, and
    /// nothing happens, while the model is at work or does not come.
    fn once_ready(self, act: impl FnOnce() + 'static) -> bool {
        match self.stage.get_untracked() {
            Stage::Ready => act(),
            Stage::Offered => {
                self.pending.set_value(Some(Box::new(act)));
                self.load();
            }
            _ => return false,
        }
        true
    }

    pub fn generate(self, task: Task) {
        self.once_ready(move || self.generate_now(task, false));
    }

    /// Whether something is in the making that does not give way to a text drawn anew.
    pub fn is_held(self) -> bool {
        self.is_generating() && !(self.is_writing() && self.is_redrawing.get_value())
    }

    /// Draws the text that stands there anew, where the task differs from it in its chances alone. One
    /// that is being drawn anew gives way; one that is written for the first time does not.
    pub fn draw_again(self, task: Task) {
        let is_redrawing = self.is_redrawing.get_value() && untrack(|| self.is_writing());
        let is_wanted = self.run.with_untracked(|run| {
            run.as_ref().is_some_and(|run| {
                (run.is_whole() || is_redrawing) && run.differs_in_chance_alone(&task)
            })
        });
        if !is_wanted {
            return;
        }
        if is_redrawing {
            self.stop();
            self.run.update_untracked(|run| *run = None);
            self.generate_now(task, true);
        } else if self.stage.with_untracked(|stage| *stage == Stage::Ready) {
            self.generate_now(task, true);
        }
    }

    fn generate_now(self, task: Task, is_redrawing: bool) {
        let was_redrawn = self.is_redrawing.get_value();
        self.is_redrawing.set_value(is_redrawing);
        let id = self.next_id();
        // Of a text that is drawn again and again the first stays, so that other texts do, too.
        if let Some(run) = self.run.get_untracked().filter(|_| !(is_redrawing && was_redrawn)) {
            self.earlier_runs.update(|runs| {
                runs.insert(0, run);
                runs.truncate(N_RUNS_KEPT);
            });
        }
        let Task { patch, size, prompt, n_tokens, sampling } = task;
        self.refusal.set(None);
        self.run.set(Some(Run::new(id, patch.clone(), size, prompt.clone(), sampling)));
        self.work.set(Work::Run);
        self.stage.set(Stage::Generating);
        self.ask(&Request::Generate { id, patch, prompt, n_tokens, sampling });
    }

    /// Whether the trial at `place` is under way.
    pub fn is_trying(self, place: RwSignal<Option<Trial>>) -> bool {
        self.is_generating() && self.work.with(|work| *work == Work::Trial(place))
    }

    /// Starts a trial and shows it at `place`. It is set up once the model is here: only then is it
    /// known which sizes have room.
    pub fn try_out(
        self,
        place: RwSignal<Option<Trial>>,
        trial: impl FnOnce(&FamilyCard) -> Trial + 'static,
    ) {
        self.once_ready(move || {
            let Some(family) = self.family.get_untracked() else { return };
            place.set(Some(untrack(|| trial(&family))));
            self.work.set(Work::Trial(place));
            self.stage.set(Stage::Generating);
            self.go_on_with(place);
        });
    }

    /// Asks the engine for something that is neither a text nor a trial; `hear` gets all replies, the
    /// last of them [`Reply::Ended`] or [`Reply::Failed`]. The request is made once the model is here. False when the engine is at work or does
    /// not come, and then nothing is asked.
    pub fn consult(
        self,
        request: impl FnOnce(u32, &FamilyCard) -> Request + 'static,
        hear: impl Fn(&Reply) + 'static,
    ) -> bool {
        self.once_ready(move || {
            let Some(family) = self.family.get_untracked() else { return };
            self.hearer.set_value(Some(Rc::new(hear)));
            self.work.set(Work::Asked);
            self.stage.set(Stage::Generating);
            self.ask(&untrack(|| request(self.next_id(), &family)));
        })
    }

    pub fn stop(self) {
        if self.stage.with_untracked(|stage| *stage == Stage::Generating) {
            self.ask(&Request::Stop { id: self.last_id.get_value() });
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

    fn next_id(self) -> u32 {
        let id = self.last_id.get_value() + 1;
        self.last_id.set_value(id);
        id
    }
}
