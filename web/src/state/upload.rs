//! Uploaded families: inspected by a separate worker, then put on the dial.

use std::sync::Arc;

use boomerang_client::budget::Budget;
use boomerang_engine::messages::{Request, UploadReply, UploadRequest};
use boomerang_engine::notice::{Notice, chain};
use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::Blob;

use crate::browser::backend::Backend;
use crate::browser::engine::{Engine, EngineClient};
use crate::browser::files::NamedFile;
use crate::browser::worker::WorkerFailure;
use crate::family::FamilyCard;
use crate::state::session::{AdoptedFamily, FamilyHome, Session};

/// The state of an upload; it lives as long as the page.
#[derive(Clone, Copy)]
pub struct Upload {
    pub stage: RwSignal<UploadStage>,
    session: Session,
    worker: StoredValue<Option<Engine>, LocalStorage>,
    /// The uploaded files, until the worker listens.
    files: StoredValue<Vec<NamedFile>, LocalStorage>,
    /// Number of uploads started or cancelled; folders are listed asynchronously.
    n_turns: StoredValue<u32>,
}

#[derive(Clone, Debug)]
pub enum UploadStage {
    Idle,
    /// Headers are being read.
    Inspecting,
    Inspected(Arc<FamilyCard>),
    /// Files are being hashed.
    Packing {
        bytes: u64,
        total: u64,
    },
    /// The family is on the dial.
    Loaded {
        name: String,
    },
    Failed(Notice),
}

impl Upload {
    pub fn new(session: Session) -> Self {
        Self {
            stage: RwSignal::new(UploadStage::Idle),
            session,
            worker: StoredValue::new_local(None),
            files: StoredValue::new_local(Vec::new()),
            n_turns: StoredValue::new(0),
        }
    }

    /// Inspects files; the previous upload is discarded.
    pub fn inspect(self, files: Vec<NamedFile>) {
        self.begin();
        self.files.set_value(files);
        // The one for the CPU runs everywhere; nothing is computed.
        match Engine::start(Backend::Cpu.script(), self) {
            Ok(worker) => self.worker.set_value(Some(worker)),
            Err(notice) => self.fail(notice),
        }
    }

    /// Puts the inspected family on the dial.
    pub fn load(self) {
        self.stage.set(UploadStage::Packing { bytes: 0, total: 0 });
        self.ask(UploadRequest::Pack, &[]);
    }

    /// Starts an upload and discards the previous one; the returned number is for [`Upload::is_at`].
    pub fn begin(self) -> u32 {
        self.stage.set(UploadStage::Inspecting);
        self.n_turns.update_value(|n_turns| *n_turns = n_turns.wrapping_add(1));
        self.n_turns.get_value()
    }

    /// Whether no upload was started or cancelled since [`Upload::begin`] returned this number.
    pub fn is_at(self, turn: u32) -> bool {
        self.n_turns.get_value() == turn
    }

    /// Discards the upload.
    pub fn cancel(self) {
        self.n_turns.update_value(|n_turns| *n_turns = n_turns.wrapping_add(1));
        self.stage.set(UploadStage::Idle);
        self.end_worker();
    }

    /// Shows why the files are not even inspected.
    pub fn refuse(self, notice: Notice) {
        self.fail(notice);
    }

    /// The memory where models run now, or would run on the CPU.
    pub fn budget(self) -> Budget {
        let backend =
            self.session.choice.with_untracked(|choice| choice.as_ref().map(|it| it.backend));
        backend.unwrap_or(Backend::Cpu).budget()
    }

    fn ask(self, request: UploadRequest, files: &[Blob]) {
        self.worker.with_value(|worker| {
            if let Some(worker) = worker {
                worker.ask_with(&Request::Upload(request), files);
            }
        });
    }

    fn fail(self, notice: Notice) {
        // A worker that panics reports it, then its death is reported too: only the first is shown.
        if self.stage.with_untracked(|stage| matches!(stage, UploadStage::Failed(_))) {
            return;
        }
        self.stage.set(UploadStage::Failed(notice));
        self.end_worker();
    }

    fn end_worker(self) {
        // Not at once: this may be called from a message of the worker that it terminates.
        spawn_local(async move { self.worker.set_value(None) });
    }
}

impl EngineClient for Upload {
    fn on_ready(&self) {
        let files = self.files.try_update_value(std::mem::take).unwrap_or_default();
        let (names, files): (Vec<String>, Vec<Blob>) = files.into_iter().unzip();
        self.ask(UploadRequest::Inspect { names }, &files);
    }

    fn on_failure(&self, failure: WorkerFailure) {
        self.fail(failure.notice());
    }

    fn on_upload_reply(&self, reply: UploadReply, files: Vec<Blob>) {
        match reply {
            UploadReply::Inspected { draft } => match FamilyCard::from_json(&draft) {
                Ok(card) => self.stage.set(UploadStage::Inspected(Arc::new(card))),
                Err(error) => {
                    let next = "Upload another family.";
                    self.fail(Notice::new("This family cannot be used.", chain(&error), next));
                }
            },
            UploadReply::Packing { bytes, total } => {
                self.stage.set(UploadStage::Packing { bytes, total });
            }
            UploadReply::Packed { manifest, paths } => {
                let files = paths.into_iter().zip(files).collect();
                let adopted = AdoptedFamily { manifest, files, home: FamilyHome::Kept };
                match self.session.adopt(adopted) {
                    Ok(()) => {
                        let name = self.session.family.with_untracked(|family| {
                            family.as_ref().map(|family| family.manifest().name.clone())
                        });
                        self.stage.set(UploadStage::Loaded { name: name.unwrap_or_default() });
                        self.end_worker();
                    }
                    Err(notice) => self.fail(notice),
                }
            }
            UploadReply::Failed { notice } => self.fail(notice),
        }
    }
}
