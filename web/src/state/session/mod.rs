//! What happens on the page: the bundle, the engine, the text being generated.
//!
//! The activity is one state machine in `activity.rs`; what starts and ends it is in `requests.rs`,
//! `loading.rs` and `replies.rs`. Another family replaces the bundle's in `adopting.rs`, `memory.rs`
//! knows which sizes fit, and `watchdog.rs` whether the engine still answers.

mod activity;
mod adopting;
mod loading;
mod memory;
mod replies;
mod requests;
mod watchdog;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use boomerang_core::bundle::{Recordings, TaskFile};
use boomerang_core::plan::Patch;
use boomerang_engine::notice::Notice;
use leptos::prelude::*;
use leptos::task::spawn_local;

use activity::{Activity, Deferred, Download, QuestionHandlers, Work};
pub use activity::{Progress, Stage, TrialSlot, WorkKind};
pub use adopting::{AdoptedFamily, FamilyHome};
pub use memory::MemoryLimit;
use watchdog::watchdog;

use crate::browser::backend::BackendChoice;
use crate::browser::engine::Engine;
use crate::browser::files::NamedFile;
use crate::browser::location::opened_link;
use crate::family::FamilyCard;
use crate::state::run::{Run, Task};
use crate::state::stored::StoredModels;
use crate::state::trial::Trial;
use crate::state::watchdog::Watchdog;

/// The state of the page.
#[derive(Clone, Copy)]
pub struct Session {
    activity: RwSignal<Activity, LocalStorage>,
    /// What the page is doing. It changes less often than the progress of a download.
    pub stage: Memo<Stage>,
    /// Of the files that are being loaded; `None` when none are.
    pub progress: Memo<Option<Progress>>,
    /// Why the rest of the model is not loaded.
    pub interruption: Memo<Option<Notice>>,
    pub family: RwSignal<Option<Arc<FamilyCard>>>,
    /// What members generated when the bundle was made, if it comes with recordings.
    pub recordings: RwSignal<Option<Arc<Recordings>>>,
    /// The bundle's questions for measuring members, once a view has requested them.
    pub task: RwSignal<Option<Arc<TaskFile>>>,
    pub choice: RwSignal<Option<BackendChoice>>,
    /// The text that is being generated, or the last one.
    pub run: RwSignal<Option<Run>>,
    /// Older texts, newest first.
    pub earlier_runs: RwSignal<Vec<Run>>,
    /// What other members are to add to the text that is being generated, in turn.
    queued: StoredValue<VecDeque<Task>>,
    /// Why the last text could not be generated.
    pub run_failure: RwSignal<Option<Notice>>,
    /// What fits in memory, if not all sizes do.
    pub memory_limit: RwSignal<Option<MemoryLimit>>,
    /// Paths of the loaded files.
    pub loaded_files: RwSignal<HashSet<String>>,
    /// Bytes of the family that are stored in this browser, as far as is known.
    pub n_stored_bytes: RwSignal<u64>,
    /// Whether the page works without a network from now on.
    pub is_offline_ready: RwSignal<bool>,
    /// For how many seconds the engine has not answered, once that is remarkable.
    pub unresponsive_seconds: RwSignal<Option<u32>>,
    /// The last prompt that the engine has counted: the number of its request, and its tokens.
    pub counted: RwSignal<Option<(u32, usize)>>,
    watchdog: StoredValue<Watchdog>,
    n_counts: StoredValue<u32>,
    comparison: RwSignal<Option<Trial>>,
    sweep: RwSignal<Option<Trial>>,
    /// The models stored in this browser.
    pub stored: StoredModels,
    source: StoredValue<FamilySource>,
    /// The folder in the link that opened the page, unless it is the page's own bundle.
    opened_bundle: StoredValue<Option<String>>,
    /// The bundle, while another family is on the dial.
    original: RwSignal<Option<FamilySource>>,
    /// Files of that family that are on no server.
    uploaded: StoredValue<Vec<NamedFile>, LocalStorage>,
    engine: StoredValue<Option<Engine>, LocalStorage>,
    last_id: StoredValue<u32>,
}

#[derive(Clone, Default, PartialEq)]
struct FamilySource {
    manifest_url: String,
    manifest: String,
    /// Whether the family is stored for the next visit.
    is_kept: bool,
}

impl Session {
    /// Opens the bundle that the address names; its weights are loaded on request.
    pub fn open() -> Self {
        let activity = RwSignal::new_local(Activity::Opening);
        let session = Self {
            activity,
            stage: Memo::new(move |_| activity.with(Activity::stage)),
            progress: Memo::new(move |_| activity.with(|it| it.progress().cloned())),
            interruption: Memo::new(move |_| activity.with(|it| it.interruption().cloned())),
            family: RwSignal::new(None),
            recordings: RwSignal::new(None),
            task: RwSignal::new(None),
            choice: RwSignal::new(None),
            run: RwSignal::new(None),
            earlier_runs: RwSignal::new(Vec::new()),
            queued: StoredValue::new(VecDeque::new()),
            run_failure: RwSignal::new(None),
            memory_limit: RwSignal::new(None),
            loaded_files: RwSignal::new(HashSet::new()),
            n_stored_bytes: RwSignal::new(0),
            is_offline_ready: RwSignal::new(false),
            unresponsive_seconds: RwSignal::new(None),
            counted: RwSignal::new(None),
            watchdog: StoredValue::new(watchdog()),
            n_counts: StoredValue::new(0),
            comparison: RwSignal::new(None),
            sweep: RwSignal::new(None),
            stored: StoredModels::new(),
            source: StoredValue::new(FamilySource::default()),
            opened_bundle: StoredValue::new(opened_link().bundle),
            original: RwSignal::new(None),
            uploaded: StoredValue::new_local(Vec::new()),
            engine: StoredValue::new_local(None),
            last_id: StoredValue::new(0),
        };
        session.watch_engine();
        spawn_local(async move {
            if let Err(notice) = session.open_bundle().await {
                session.activity.set(Activity::Failed(notice));
            }
        });
        session
    }

    /// How many tokens of this prompt are unknown to the model; `None` for a prompt that it has not read.
    pub fn n_unknown_of(self, prompt: &str) -> Option<usize> {
        let of = |run: &Run| (run.prompt.last() == prompt).then_some(run.n_unknown);
        let of_trial = |slot| {
            self.trial(slot).with(|trial| trial.as_ref()?.reference().run.as_ref().and_then(of))
        };
        let found = self.run.with(|run| run.as_ref().and_then(of));
        // All of them are read, so that a change of any is noticed.
        let found = [found, of_trial(TrialSlot::Comparison), of_trial(TrialSlot::Sweep)];
        found.into_iter().flatten().max()
    }

    /// The trial of this kind, under way or finished.
    pub fn trial(self, slot: TrialSlot) -> RwSignal<Option<Trial>> {
        match slot {
            TrialSlot::Comparison => self.comparison,
            TrialSlot::Sweep => self.sweep,
        }
    }

    /// Bytes of this member that are not loaded.
    pub fn n_missing_bytes(self, patch: &Patch) -> u64 {
        self.family.with(|family| {
            let missing = |family: &Arc<FamilyCard>| {
                self.loaded_files.with(|loaded| family.n_missing_bytes(patch, loaded))
            };
            family.as_ref().map_or(0, missing)
        })
    }

    pub fn is_busy(self) -> bool {
        self.stage.with(Stage::is_busy)
    }

    /// Whether a request is being answered, or the model loaded for one.
    pub fn is_at_work(self) -> bool {
        self.stage.with(|stage| stage.is_busy() || *stage == Stage::Loading)
    }

    /// Whether the text of the dial is being generated, and not one of a trial.
    pub fn is_generating(self) -> bool {
        self.stage.with(|stage| *stage == Stage::Busy(WorkKind::Text))
    }

    /// Whether the trial of this kind is under way.
    pub fn is_trying(self, slot: TrialSlot) -> bool {
        self.stage.with(|stage| *stage == Stage::Busy(WorkKind::Trial(slot)))
    }

    /// Whether the model can be asked: it is idle, or would be loaded for it.
    pub fn can_ask(self) -> bool {
        self.stage.with(|stage| matches!(stage, Stage::Ready | Stage::Offered))
    }

    fn is_stage(self, stage: &Stage) -> bool {
        self.stage.with_untracked(|now| now == stage)
    }

    fn has_failed(self) -> bool {
        self.stage.with_untracked(|stage| matches!(stage, Stage::Failed(_)))
    }

    fn next_id(self) -> u32 {
        let id = self.last_id.get_value() + 1;
        self.last_id.set_value(id);
        id
    }
}
