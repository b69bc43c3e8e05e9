//! A student that is taught in the page: what the reader wishes, what the worker tells, and the way
//! onto the dial.
//!
//! It goes on while the reader looks at other views.

pub mod record;
pub mod settings;

use std::rc::Rc;
use std::sync::Arc;

use boomerang_engine::notice::Notice;
use boomerang_engine::teaching::messages::{Reply, Request};
use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::Blob;

use crate::browser::files::NamedFile;
use crate::browser::worker::{Silence, Wire};
use crate::state::session::{Home, Newcomer, Session};
use record::Record;
use settings::Wishes;

/// The program, beside the page; fetched when somebody wants to teach.
const SCRIPT: &str = "engine-teach_loader.js";

/// Steps come faster than they can be looked at.
const MILLIS_BETWEEN_DRAWINGS: f64 = 350.0;

/// The state of the teaching; it lives as long as the page.
#[derive(Clone, Copy)]
pub struct Teaching {
    pub stage: RwSignal<Stage>,
    pub wishes: Wishes,
    /// What was taught, as it was last drawn.
    pub shown: RwSignal<Option<Arc<Record>>>,
    /// Whether the student is on its way from its worker to the dial.
    pub is_moving: RwSignal<bool>,
    /// Steps of the student that was put on the dial last.
    pub on_dial: RwSignal<Option<usize>>,
    session: Session,
    record: StoredValue<Option<Record>>,
    /// Texts for the worker, until it listens.
    chosen: StoredValue<Vec<NamedFile>, LocalStorage>,
    last_drawn: StoredValue<f64>,
    worker: StoredValue<Option<Wire>, LocalStorage>,
}

/// How far a student has come.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// There is none.
    Idle,
    /// The program is on its way.
    Starting,
    /// The teacher is.
    Loading {
        bytes: u64,
        total: u64,
    },
    Teaching,
    Paused,
    /// No step follows.
    Ended,
    Failed(Notice),
}

impl Stage {
    /// As in `data-state`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Starting | Self::Loading { .. } => "loading",
            Self::Teaching => "teaching",
            Self::Paused => "paused",
            Self::Ended => "ended",
            Self::Failed(_) => "failed",
        }
    }

    /// Whether another student would have to wait.
    pub fn is_busy(&self) -> bool {
        !matches!(self, Self::Idle | Self::Ended | Self::Failed(_))
    }

    /// Whether a student is here that takes no step at the moment.
    pub fn has_student(&self) -> bool {
        matches!(self, Self::Paused | Self::Ended)
    }
}

impl Teaching {
    pub fn new(session: Session) -> Self {
        Self {
            stage: RwSignal::new(Stage::Idle),
            wishes: Wishes::new(),
            shown: RwSignal::new(None),
            is_moving: RwSignal::new(false),
            on_dial: RwSignal::new(None),
            session,
            record: StoredValue::new(None),
            chosen: StoredValue::new_local(Vec::new()),
            last_drawn: StoredValue::new(0.0),
            worker: StoredValue::new_local(None),
        }
    }

    /// Teaches a student as the wishes stand; the one before is gone.
    pub fn start(self) {
        let plan = self
            .session
            .family
            .with_untracked(|family| family.as_ref().map(|family| family.manifest().plan.clone()));
        let Some(plan) = plan else { return };
        self.record.set_value(Some(Record::new(self.wishes.settings(&plan))));
        // Those of this moment; the reader may choose others while the program comes.
        self.chosen.set_value(self.wishes.texts.get_untracked());
        self.shown.set(None);
        self.on_dial.set(None);
        self.is_moving.set(false);
        self.stage.set(Stage::Starting);
        // The worker before it, if any, ends here and gives its memory back.
        self.worker.set_value(None);
        let hear = move |heard: Result<_, Silence>| match heard {
            Ok((reply, files)) => self.hear(reply, files),
            Err(silence) => self.fail(silence.notice()),
        };
        match Wire::start(SCRIPT, "teaching", Rc::new(hear)) {
            Ok(wire) => self.worker.set_value(Some(wire)),
            Err(notice) => self.stage.set(Stage::Failed(notice)),
        }
    }

    pub fn pause(self) {
        self.tell(&Request::Pause);
    }

    pub fn resume(self) {
        self.tell(&Request::Resume);
    }

    pub fn stop(self) {
        self.tell(&Request::Stop);
    }

    /// Asks for the student, and puts it on the dial when it comes.
    pub fn put_on_dial(self) {
        self.is_moving.set(true);
        self.tell(&Request::HandOver);
    }

    fn hear(self, reply: Reply, files: Vec<Blob>) {
        match reply {
            Reply::Ready { .. } => {
                let settings = self
                    .record
                    .with_value(|record| record.as_ref().map(|record| record.settings.clone()));
                let Some(settings) = settings else { return };
                let (manifest_url, manifest) = self.session.manifest();
                let chosen = self.chosen.try_update_value(std::mem::take).unwrap_or_default();
                let (texts, files): (Vec<String>, Vec<Blob>) = chosen.into_iter().unzip();
                self.tell_with(&Request::Start { manifest_url, manifest, settings, texts }, &files);
            }
            Reply::Progress { bytes, total } => self.stage.set(Stage::Loading { bytes, total }),
            Reply::Started { texts } => {
                self.note(|record| record.texts = texts);
                self.stage.set(Stage::Teaching);
            }
            Reply::Resumed => self.stage.set(Stage::Teaching),
            Reply::HeldOut { step, loss } => self.note(|record| record.held_out.push((step, loss))),
            Reply::Step(step) => {
                self.note(|record| record.steps.push(step));
                let now = js_sys::Date::now();
                if now - self.last_drawn.get_value() > MILLIS_BETWEEN_DRAWINGS {
                    self.last_drawn.set_value(now);
                    self.draw();
                }
            }
            Reply::Paused => {
                self.draw();
                self.stage.set(Stage::Paused);
            }
            Reply::Ended => {
                self.draw();
                self.stage.set(Stage::Ended);
            }
            Reply::HandedOver { manifest, paths } => {
                self.is_moving.set(false);
                let brought = paths.into_iter().zip(files).collect();
                let newcomer = Newcomer { manifest, brought, home: Home::Bundle };
                match self.session.adopt(newcomer) {
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

    fn note(self, write: impl FnOnce(&mut Record)) {
        self.record.update_value(|record| {
            if let Some(record) = record {
                write(record);
            }
        });
    }

    fn draw(self) {
        self.shown.set(self.record.get_value().map(Arc::new));
    }

    fn fail(self, notice: Notice) {
        // A worker that panics says so, and then its death is reported too: the first says more.
        if self.stage.with_untracked(|stage| matches!(stage, Stage::Failed(_))) {
            return;
        }
        self.draw();
        self.is_moving.set(false);
        self.stage.set(Stage::Failed(notice));
        // Not at once: this is called from a message of the worker that it ends.
        spawn_local(async move { self.worker.set_value(None) });
    }

    fn tell(self, request: &Request) {
        self.tell_with(request, &[]);
    }

    fn tell_with(self, request: &Request, files: &[Blob]) {
        self.worker.with_value(|worker| {
            if let Some(worker) = worker {
                worker.send(request, files);
            }
        });
    }
}
