//! Students distilled in the page: settings, runs, and the way onto the dial.
//!
//! Runs continue while other views are shown. Each has a worker of its own while it takes steps or
//! something is requested of its student; between these its checkpoint is all that is left of it. What
//! the workers reply is handled in `replies.rs`, what outlives a reload in `keeping.rs` and `storing.rs`;
//! `device.rs` chooses between CPU and GPU, and `watching.rs` notices a worker that answers no more.

pub mod compare;
mod device;
pub mod keeping;
pub mod record;
mod replies;
pub mod run;
pub mod settings;
mod storing;
mod watching;

use std::collections::HashMap;
use std::rc::Rc;

use boomerang_core::bundle::Manifest;
use boomerang_engine::distillation::messages::Request;
use boomerang_engine::notice::Notice;
use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::Blob;

use crate::browser::backend::BackendChoice;
use crate::browser::files::NamedFile;
use crate::browser::worker::{WorkerFailure, WorkerHandle};
use crate::state::session::Session;
use crate::state::watchdog::Watchdog;
use keeping::UnreadableRun;
use record::Record;
use run::{DistillStage, Run, Task, TeacherName, n_slots, next_to_start};
use settings::Settings;

/// All runs; they live as long as the page, and longer where they are stored.
#[derive(Clone, Copy)]
pub struct Distillation {
    pub settings: Settings,
    /// As they were last shown, oldest first.
    pub runs: RwSignal<Vec<Run>>,
    /// The one that is shown in detail.
    pub selected: Memo<Option<Run>>,
    pub selected_key: RwSignal<Option<String>>,
    /// Stored runs that cannot be read.
    pub unreadable: RwSignal<Vec<UnreadableRun>>,
    /// Why the stored runs could not be listed, or not be changed.
    pub store_failure: RwSignal<Option<String>>,
    /// The run whose student was last put on the dial, and its steps.
    pub on_dial: RwSignal<Option<(String, usize)>>,
    /// Whether the browser has a GPU for it, once it has answered.
    choice: RwSignal<Option<BackendChoice>>,
    session: Session,
    /// As they are now; shown a few times a second.
    now: StoredValue<Vec<Run>>,
    live: StoredValue<HashMap<String, LiveRun>, LocalStorage>,
    last_shown: StoredValue<f64>,
    is_opened: StoredValue<bool>,
}

/// What a run has besides its numbers.
struct LiveRun {
    worker: Option<WorkerHandle>,
    /// Whether the worker listens; it has received nothing sent before.
    is_listening: bool,
    /// Requests until then.
    waiting: Vec<Request>,
    /// Whether the worker is started for a task alone, and takes no step.
    is_paused: bool,
    /// Texts for a new run.
    texts: Vec<NamedFile>,
    /// The last one, unless it is only in the store.
    checkpoint: Option<Blob>,
    /// Whether it is being stored, and whether a newer one has to follow.
    is_saving: bool,
    is_unsaved: bool,
    watchdog: Watchdog,
}

impl Distillation {
    pub fn new(session: Session) -> Self {
        let runs = RwSignal::new(Vec::<Run>::new());
        let selected_key = RwSignal::new(None::<String>);
        let selected = Memo::new(move |_| {
            let key = selected_key.get()?;
            runs.with(|runs| runs.iter().find(|run| run.key == key).cloned())
        });
        let distillation = Self {
            settings: Settings::new(),
            runs,
            selected,
            selected_key,
            unreadable: RwSignal::new(Vec::new()),
            store_failure: RwSignal::new(None),
            on_dial: RwSignal::new(None),
            choice: RwSignal::new(None),
            session,
            now: StoredValue::new(Vec::new()),
            live: StoredValue::new_local(HashMap::new()),
            last_shown: StoredValue::new(0.0),
            is_opened: StoredValue::new(false),
        };
        let warning = window_event_listener(leptos::ev::beforeunload, move |event| {
            if distillation.now.with_value(|runs| runs.iter().any(Run::is_at_risk)) {
                event.prevent_default();
            }
        });
        on_cleanup(move || warning.remove());
        distillation.watch_workers();
        distillation
    }

    /// Distills a student with the current settings, once a core is free.
    pub fn start(self) {
        let plan = self
            .session
            .family
            .with_untracked(|family| family.as_ref().map(|family| family.manifest().plan.clone()));
        let Some(settings) = plan.and_then(|plan| self.settings.of_run(&plan)) else { return };
        // The current ones; the user may choose others while the program is loaded.
        let texts = self.settings.texts.get_untracked();
        let names = texts.iter().map(|(name, _)| name.clone()).collect();
        let based_on = self.settings.based_on.get_untracked();
        let number = self.now.with_value(|runs| runs.iter().map(|run| run.number).max());
        let number = number.unwrap_or(0) + 1;
        // In the order of time, also among those that are stored.
        let key = format!("{:014.0}-{number}", js_sys::Date::now());
        let backend = untrack(|| self.backend());
        let record = Record { backend, ..Record::new(settings, names, based_on) };
        let run = Run::new(key.clone(), number, untrack(|| self.teacher()), record);
        self.live.update_value(|live| {
            live.insert(key.clone(), LiveRun::new(texts));
        });
        self.now.update_value(|runs| runs.push(run));
        self.selected_key.set(Some(key));
        self.settings.based_on.set(None);
        self.start_waiting();
    }

    /// The teacher on the dial.
    pub fn teacher(self) -> TeacherName {
        self.session.family.with(|family| {
            let manifest = family.as_ref().map(|family| family.manifest());
            let name = |manifest: &Manifest| TeacherName {
                fingerprint: manifest.teacher_fingerprint(),
                bundle: manifest.name.clone(),
            };
            manifest.map(name).unwrap_or_default()
        })
    }

    pub fn pause(self, key: &str) {
        self.ask(key, Request::Pause);
    }

    /// Continues a paused run, or one that was stopped from its checkpoint, once a core is free.
    pub fn resume(self, key: &str) {
        if self.with_run(key, Run::can_resume) == Some(true) {
            self.update(key, |run| {
                run.failure = None;
                run.stage = DistillStage::Queued;
            });
            self.start_waiting();
        }
    }

    /// Ends a run after its current step. One that has no worker yet has nothing to end with.
    pub fn stop(self, key: &str) {
        if self.has_worker(key) {
            self.ask(key, Request::Stop);
            self.expect_stop(key);
        } else if self.with_run(key, |run| run.n_saved_steps.is_some()) == Some(true) {
            // It waited for a core to be resumed: it is as it was.
            self.update(key, |run| run.stage = DistillStage::Stopped);
            self.start_waiting();
        } else {
            self.delete(key.to_owned());
        }
    }

    /// Requests something of a student that takes no step; a worker is started from its checkpoint if
    /// necessary.
    pub fn request(self, key: &str, task: Task) {
        if self.with_run(key, Run::is_idle) != Some(true) {
            return;
        }
        let label = self.with_run(key, Run::name).unwrap_or_default();
        self.update(key, |run| {
            run.failure = None;
            run.measuring.clear();
            run.task = Some(task);
        });
        self.show();
        let request = match task {
            Task::PutOnDial => Request::HandOver { label },
            Task::MeasureSizes => Request::MeasureSizes,
        };
        let has_worker = self.has_worker(key);
        self.ask(key, request);
        if !has_worker {
            self.start_worker(key, true);
        }
    }

    /// Deletes a run, stored or not.
    pub fn delete(self, key: String) {
        self.now.update_value(|runs| runs.retain(|run| run.key != key));
        // Dropped after this: the worker may be the one that called.
        let live = self.live.try_update_value(|live| live.remove(&key)).flatten();
        spawn_local(async move { drop(live) });
        if self.selected_key.get_untracked().as_ref() == Some(&key) {
            let last = self.now.with_value(|runs| runs.last().map(|run| run.key.clone()));
            self.selected_key.set(last);
        }
        self.delete_stored(key);
        self.start_waiting();
    }

    /// Starts as many waiting runs as there are cores for.
    fn start_waiting(self) {
        let n_cores = window().navigator().hardware_concurrency();
        let next = || {
            self.now.with_value(|runs| {
                let stages: Vec<DistillStage> = runs.iter().map(|run| run.stage).collect();
                let index = next_to_start(&stages, n_slots(n_cores))?;
                Some(runs[index].key.clone())
            })
        };
        while let Some(key) = next() {
            self.update(&key, |run| run.stage = DistillStage::Starting);
            if self.has_worker(&key) {
                self.ask(&key, Request::Resume);
            } else {
                self.start_worker(&key, false);
            }
        }
        self.show();
    }

    fn start_worker(self, key: &str, is_paused: bool) {
        let own = key.to_owned();
        let on_reply = move |reply: Result<_, WorkerFailure>| match reply {
            Ok((reply, files)) => self.on_reply(&own, reply, files),
            Err(failure) => self.fail(&own, failure.notice()),
        };
        let script = self.backend_of(key).distillation_script();
        match WorkerHandle::start(script, "distillation worker", Rc::new(on_reply)) {
            Ok(worker) => {
                self.update_live(key, |live| {
                    live.worker = Some(worker);
                    (live.is_listening, live.is_paused) = (false, is_paused);
                    live.watchdog = LiveRun::watchdog();
                });
            }
            Err(notice) => self.fail(key, notice),
        }
    }

    /// Terminates the worker of a run, and frees its memory.
    fn end_worker(self, key: &str) {
        let key = key.to_owned();
        // Not at once: this is called from a message of the worker that it terminates.
        spawn_local(async move {
            self.update_live(&key, |live| {
                (live.worker, live.is_listening) = (None, false);
                live.waiting.clear();
            });
        });
    }

    fn fail(self, key: &str, notice: Notice) {
        // A worker that panics reports it, then its death is reported too: only the first is shown.
        let is_reported = self.with_run(key, |run| !run.stage.is_busy() && run.task.is_none());
        if is_reported != Some(false) {
            return;
        }
        self.update(key, |run| {
            run.task = None;
            run.failure = Some(notice);
            if run.stage.is_busy() {
                run.stage = DistillStage::Failed;
            }
        });
        self.end_worker(key);
        self.start_waiting();
    }

    fn has_worker(self, key: &str) -> bool {
        self.live.with_value(|live| live.get(key).is_some_and(|live| live.worker.is_some()))
    }

    fn with_run<T>(self, key: &str, read: impl FnOnce(&Run) -> T) -> Option<T> {
        self.now.with_value(|runs| runs.iter().find(|run| run.key == key).map(read))
    }

    fn update(self, key: &str, write: impl FnOnce(&mut Run)) {
        self.now.update_value(|runs| {
            if let Some(run) = runs.iter_mut().find(|run| run.key == key) {
                write(run);
            }
        });
    }

    fn update_live<T>(self, key: &str, write: impl FnOnce(&mut LiveRun) -> T) -> Option<T> {
        self.live.try_update_value(|live| live.get_mut(key).map(write)).flatten()
    }

    fn show(self) {
        self.last_shown.set_value(js_sys::Date::now());
        self.runs.set(self.now.get_value());
    }

    fn ask(self, key: &str, request: Request) {
        self.ask_with(key, request, &[]);
    }

    /// Sends a request, or keeps it until the worker listens.
    fn ask_with(self, key: &str, request: Request, files: &[Blob]) {
        self.update_live(key, |live| match &live.worker {
            Some(worker) if live.is_listening => worker.send(&request, files),
            _ => live.waiting.push(request),
        });
    }
}
