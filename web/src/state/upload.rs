//! Models that the reader brings: looked at by a worker of their own, then put on the dial.

use std::sync::Arc;

use boomerang_engine::messages::{Reply, Request};
use boomerang_engine::notice::{Notice, chain};
use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::Blob;

use crate::browser::backend::Backend;
use crate::browser::budget::Budget;
use crate::browser::engine::Engine;
use crate::browser::files::NamedFile;
use crate::browser::worker::Silence;
use crate::family::FamilyCard;
use crate::state::session::{Home, Newcomer, Session};

/// What has become of what was brought; it lives as long as the page.
#[derive(Clone, Copy)]
pub struct Own {
    pub stage: RwSignal<Stage>,
    session: Session,
    worker: StoredValue<Option<Engine>, LocalStorage>,
    /// Until the worker listens.
    files: StoredValue<Vec<NamedFile>, LocalStorage>,
    /// Times that something was brought or forgotten; folders are listed while that goes on.
    n_turns: StoredValue<u32>,
}

#[derive(Clone, Debug)]
pub enum Stage {
    Idle,
    /// Headers are being read.
    Looking,
    Found(Arc<FamilyCard>),
    /// Files are being read for their hashes.
    Packing {
        bytes: u64,
        total: u64,
    },
    /// The family is on the dial.
    Taken {
        name: String,
    },
    Failed(Notice),
}

/// Requests of this worker.
const INSPECT: u32 = 1;
const PACK: u32 = 2;

impl Own {
    pub fn new(session: Session) -> Self {
        Self {
            stage: RwSignal::new(Stage::Idle),
            session,
            worker: StoredValue::new_local(None),
            files: StoredValue::new_local(Vec::new()),
            n_turns: StoredValue::new(0),
        }
    }

    /// Has files looked at; what was brought before is forgotten.
    pub fn bring(self, files: Vec<NamedFile>) {
        self.begin();
        self.files.set_value(files);
        let hear = move |heard| match heard {
            Ok((reply, files)) => self.hear(reply, files),
            Err(silence) => self.fail(Silence::notice(silence)),
        };
        // The one for the CPU runs everywhere, and computes nothing here.
        match Engine::start(Backend::Cpu.script(), hear) {
            Ok(worker) => self.worker.set_value(Some(worker)),
            Err(notice) => self.fail(notice),
        }
    }

    /// Puts what was found on the dial.
    pub fn take(self) {
        self.stage.set(Stage::Packing { bytes: 0, total: 0 });
        self.ask(&Request::Pack { id: PACK });
    }

    /// Looks at what is being brought now, and at nothing before it; [`Own::is_at`] tells it by the
    /// number that is returned.
    pub fn begin(self) -> u32 {
        self.stage.set(Stage::Looking);
        self.n_turns.update_value(|n_turns| *n_turns = n_turns.wrapping_add(1));
        self.n_turns.get_value()
    }

    /// Whether nothing was brought or forgotten since [`Own::begin`] gave this number.
    pub fn is_at(self, turn: u32) -> bool {
        self.n_turns.get_value() == turn
    }

    /// Forgets what was brought.
    pub fn cancel(self) {
        self.n_turns.update_value(|n_turns| *n_turns = n_turns.wrapping_add(1));
        self.stage.set(Stage::Idle);
        self.rest();
    }

    /// Says why what was brought is not even looked at.
    pub fn refuse(self, notice: Notice) {
        self.fail(notice);
    }

    /// What has room where models run now, or would run on the CPU.
    pub fn budget(self) -> Budget {
        let backend =
            self.session.choice.with_untracked(|choice| choice.as_ref().map(|it| it.backend));
        Budget::of_browser(backend.unwrap_or(Backend::Cpu))
    }

    fn hear(self, reply: Reply, files: Vec<Blob>) {
        match reply {
            Reply::Ready { .. } => {
                let brought = self.files.try_update_value(std::mem::take).unwrap_or_default();
                let (names, files): (Vec<String>, Vec<Blob>) = brought.into_iter().unzip();
                self.worker.with_value(|worker| {
                    if let Some(worker) = worker {
                        worker.ask_with(&Request::Inspect { id: INSPECT, names }, &files);
                    }
                });
            }
            Reply::Inspected { draft, .. } => match FamilyCard::from_json(&draft) {
                Ok(card) => self.stage.set(Stage::Found(Arc::new(card))),
                Err(error) => {
                    let next = "Bring another family.";
                    self.fail(Notice::new("This family cannot be used.", chain(&error), next));
                }
            },
            Reply::Packing { bytes, total, .. } => self.stage.set(Stage::Packing { bytes, total }),
            Reply::Packed { manifest, paths, .. } => {
                let brought = paths.into_iter().zip(files).collect();
                match self.session.adopt(Newcomer { manifest, brought, home: Home::Kept }) {
                    Ok(()) => {
                        let name = self.session.family.with_untracked(|family| {
                            family.as_ref().map(|family| family.manifest().name.clone())
                        });
                        self.stage.set(Stage::Taken { name: name.unwrap_or_default() });
                        self.rest();
                    }
                    Err(notice) => self.fail(notice),
                }
            }
            Reply::Failed { notice, .. } => self.fail(notice),
            _ => {}
        }
    }

    fn ask(self, request: &Request) {
        self.worker.with_value(|worker| {
            if let Some(worker) = worker {
                worker.ask(request);
            }
        });
    }

    fn fail(self, notice: Notice) {
        // A worker that panics says so, and then its death is reported too: the first says more.
        if self.stage.with_untracked(|stage| matches!(stage, Stage::Failed(_))) {
            return;
        }
        self.stage.set(Stage::Failed(notice));
        self.rest();
    }

    fn rest(self) {
        // Not at once: this may be called from a message of the worker that it ends.
        spawn_local(async move { self.worker.set_value(None) });
    }
}
