//! A student distilled in the page: settings, progress, and the way onto the dial.
//!
//! It continues while other views are shown.

pub mod record;
pub mod settings;

use std::rc::Rc;
use std::sync::Arc;

use boomerang_engine::distillation::messages::{Reply, Request};
use boomerang_engine::notice::Notice;
use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::Blob;

use crate::browser::files::NamedFile;
use crate::browser::worker::{WorkerFailure, WorkerHandle};
use crate::state::session::{AdoptedFamily, FamilyHome, Session};
use record::Record;
use settings::Settings;

/// The program, next to the page; fetched when a run is started.
const SCRIPT: &str = "engine-teach_loader.js";

/// Steps are faster than they can be seen.
const MILLIS_BETWEEN_UPDATES: f64 = 350.0;

/// The state of a distillation run; it lives as long as the page.
#[derive(Clone, Copy)]
pub struct Distillation {
    pub stage: RwSignal<DistillStage>,
    pub settings: Settings,
    /// The record as it was last shown.
    pub shown: RwSignal<Option<Arc<Record>>>,
    /// Whether the student is being sent from its worker to the dial.
    pub is_moving: RwSignal<bool>,
    /// Steps of the student that was last put on the dial.
    pub on_dial: RwSignal<Option<usize>>,
    session: Session,
    record: StoredValue<Option<Record>>,
    /// Texts for the worker, until it listens.
    texts: StoredValue<Vec<NamedFile>, LocalStorage>,
    last_shown: StoredValue<f64>,
    worker: StoredValue<Option<WorkerHandle>, LocalStorage>,
}

/// The stage of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum DistillStage {
    /// None was started.
    Idle,
    /// The program is being loaded.
    Starting,
    /// The teacher is being loaded.
    Loading {
        bytes: u64,
        total: u64,
    },
    Running,
    Paused,
    /// No further step follows.
    Ended,
    Failed(Notice),
}

impl DistillStage {
    /// As in `data-state`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Starting | Self::Loading { .. } => "loading",
            Self::Running => "teaching",
            Self::Paused => "paused",
            Self::Ended => "ended",
            Self::Failed(_) => "failed",
        }
    }

    /// Whether another run has to wait.
    pub fn is_busy(&self) -> bool {
        !matches!(self, Self::Idle | Self::Ended | Self::Failed(_))
    }

    /// Whether there is a student, and no step is being taken.
    pub fn has_student(&self) -> bool {
        matches!(self, Self::Paused | Self::Ended)
    }
}

impl Distillation {
    pub fn new(session: Session) -> Self {
        Self {
            stage: RwSignal::new(DistillStage::Idle),
            settings: Settings::new(),
            shown: RwSignal::new(None),
            is_moving: RwSignal::new(false),
            on_dial: RwSignal::new(None),
            session,
            record: StoredValue::new(None),
            texts: StoredValue::new_local(Vec::new()),
            last_shown: StoredValue::new(0.0),
            worker: StoredValue::new_local(None),
        }
    }

    /// Distills a student with the current settings; the previous one is discarded.
    pub fn start(self) {
        let plan = self
            .session
            .family
            .with_untracked(|family| family.as_ref().map(|family| family.manifest().plan.clone()));
        let Some(settings) = plan.and_then(|plan| self.settings.of_run(&plan)) else { return };
        self.record.set_value(Some(Record::new(settings)));
        // The current ones; the user may choose others while the program is loaded.
        self.texts.set_value(self.settings.texts.get_untracked());
        self.shown.set(None);
        self.on_dial.set(None);
        self.is_moving.set(false);
        self.stage.set(DistillStage::Starting);
        // The previous worker, if any, is terminated here and its memory freed.
        self.worker.set_value(None);
        let on_reply = move |reply: Result<_, WorkerFailure>| match reply {
            Ok((reply, files)) => self.on_reply(reply, files),
            Err(failure) => self.fail(failure.notice()),
        };
        match WorkerHandle::start(SCRIPT, "distillation worker", Rc::new(on_reply)) {
            Ok(worker) => self.worker.set_value(Some(worker)),
            Err(notice) => self.stage.set(DistillStage::Failed(notice)),
        }
    }

    pub fn pause(self) {
        self.ask(&Request::Pause);
    }

    pub fn resume(self) {
        self.ask(&Request::Resume);
    }

    pub fn stop(self) {
        self.ask(&Request::Stop);
    }

    /// Requests the student, and puts it on the dial when it is received.
    pub fn put_on_dial(self) {
        self.is_moving.set(true);
        self.ask(&Request::HandOver);
    }

    fn on_reply(self, reply: Reply, files: Vec<Blob>) {
        match reply {
            Reply::Ready { .. } => {
                let settings = self
                    .record
                    .with_value(|record| record.as_ref().map(|record| record.settings.clone()));
                let Some(settings) = settings else { return };
                let (manifest_url, manifest) = self.session.manifest();
                let texts = self.texts.try_update_value(std::mem::take).unwrap_or_default();
                let (texts, files): (Vec<String>, Vec<Blob>) = texts.into_iter().unzip();
                self.ask_with(&Request::Start { manifest_url, manifest, settings, texts }, &files);
            }
            Reply::Progress { bytes, total } => {
                self.stage.set(DistillStage::Loading { bytes, total });
            }
            Reply::Started { texts } => {
                self.update_record(|record| record.texts = texts);
                self.stage.set(DistillStage::Running);
            }
            Reply::Resumed => self.stage.set(DistillStage::Running),
            Reply::HeldOut { step, loss } => {
                self.update_record(|record| record.held_out.push((step, loss)));
            }
            Reply::Step(step) => {
                self.update_record(|record| record.steps.push(step));
                let now = js_sys::Date::now();
                if now - self.last_shown.get_value() > MILLIS_BETWEEN_UPDATES {
                    self.last_shown.set_value(now);
                    self.show();
                }
            }
            Reply::Paused => {
                self.show();
                self.stage.set(DistillStage::Paused);
            }
            Reply::Ended => {
                self.show();
                self.stage.set(DistillStage::Ended);
            }
            Reply::HandedOver { manifest, paths } => {
                self.is_moving.set(false);
                let files = paths.into_iter().zip(files).collect();
                let adopted = AdoptedFamily { manifest, files, home: FamilyHome::Bundle };
                match self.session.adopt(adopted) {
                    Ok(()) => {
                        let n_steps = self.record.with_value(|record| {
                            record.as_ref().map_or(0, |record| record.steps.len())
                        });
                        self.on_dial.set(Some(n_steps));
                    }
                    Err(notice) => self.fail(notice),
                }
            }
            Reply::Failed { notice } => self.fail(notice),
        }
    }

    fn update_record(self, write: impl FnOnce(&mut Record)) {
        self.record.update_value(|record| {
            if let Some(record) = record {
                write(record);
            }
        });
    }

    fn show(self) {
        self.shown.set(self.record.get_value().map(Arc::new));
    }

    fn fail(self, notice: Notice) {
        // A worker that panics reports it, then its death is reported too: only the first is shown.
        if self.stage.with_untracked(|stage| matches!(stage, DistillStage::Failed(_))) {
            return;
        }
        self.show();
        self.is_moving.set(false);
        self.stage.set(DistillStage::Failed(notice));
        // Not at once: this is called from a message of the worker that it terminates.
        spawn_local(async move { self.worker.set_value(None) });
    }

    fn ask(self, request: &Request) {
        self.ask_with(request, &[]);
    }

    fn ask_with(self, request: &Request, files: &[Blob]) {
        self.worker.with_value(|worker| {
            if let Some(worker) = worker {
                worker.send(request, files);
            }
        });
    }
}
