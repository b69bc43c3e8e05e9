//! The worker of a family: what is loaded, and the requests that it has not answered.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::{Rc, Weak};

use boomerang_client::family::FamilyCard;
use boomerang_client::worker::{WorkerFailure, WorkerHandle};
use boomerang_core::plan::Patch;
use boomerang_engine::messages::{FamilyReply, FamilyRequest, ModelRequest, Reply, Request};
use boomerang_engine::notice::Notice;
use boomerang_engine::waiters::Waiters;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::spawn_local;
use web_sys::{CustomEvent, CustomEventInit, EventTarget, Worker};

use crate::failure::{Failure, Kind};
use crate::values::{self, Progress, SizeEntry};

mod requests;

use requests::Requests;
pub use requests::{Part, Ticket};

#[wasm_bindgen(raw_module = "./platform.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = startWorker)]
    fn start_worker(url: Option<&str>) -> Result<Worker, JsValue>;
}

/// A family and the worker that runs it; the worker ends with the last reference.
pub struct Connection {
    card: FamilyCard,
    source: Source,
    /// How many sizes of the path fit in memory, smallest first.
    n_fitting: usize,
    worker: RefCell<Option<WorkerHandle>>,
    has_started: Cell<bool>,
    pub(crate) events: EventTarget,
    loaded_files: RefCell<HashSet<String>>,
    loading: RefCell<Loading>,
    /// Why the worker is gone.
    ended: RefCell<Option<Failure>>,
    /// Tasks that wait for a file or for the end.
    waiters: Waiters,
    size: Cell<usize>,
    requests: Requests,
}

/// Where a family is from.
pub struct Source {
    pub manifest_url: String,
    pub manifest: String,
    pub is_stored: bool,
}

enum Loading {
    Running,
    Done,
    Interrupted(Failure),
}

impl Connection {
    /// Starts a worker, and loads the `n_fitting` smallest sizes in it.
    ///
    /// # Errors
    /// [`Kind::Worker`] when the browser starts no worker.
    pub fn open(
        card: FamilyCard,
        source: Source,
        n_fitting: usize,
        worker_url: Option<&str>,
    ) -> Result<Rc<Self>, Failure> {
        let events = EventTarget::new().map_err(|error| not_started(&error))?;
        let connection = Rc::new(Self {
            card,
            source,
            n_fitting,
            worker: RefCell::default(),
            has_started: Cell::new(false),
            events,
            loaded_files: RefCell::default(),
            loading: RefCell::new(Loading::Running),
            ended: RefCell::default(),
            waiters: Waiters::default(),
            size: Cell::new(0),
            requests: Requests::default(),
        });
        let weak: Weak<Self> = Rc::downgrade(&connection);
        let on_reply = move |reply: Result<(Reply, _), WorkerFailure>| {
            let Some(connection) = weak.upgrade() else { return };
            match reply {
                Ok((reply, _)) => connection.on_reply(reply),
                Err(failure) => connection.on_failure(failure),
            }
        };
        let worker = start_worker(worker_url).map_err(|error| not_started(&error))?;
        let handle = WorkerHandle::of::<Reply>(worker, "model's worker", Rc::new(on_reply));
        connection.worker.replace(Some(handle));
        Ok(connection)
    }

    pub fn card(&self) -> &FamilyCard {
        &self.card
    }

    /// The index of the current size.
    pub fn size(&self) -> usize {
        self.size.get()
    }

    pub fn patch(&self) -> &Patch {
        &self.card.path()[self.size()]
    }

    /// Chooses a size, and loads it before all others.
    ///
    /// # Errors
    /// [`Kind::UnknownSize`], [`Kind::Memory`], or why the worker is gone.
    pub fn set_size(&self, index: f64) -> Result<(), Failure> {
        self.ensure_open()?;
        let n_sizes = self.card.path().len();
        let known = (0..n_sizes).find(|&known| known as f64 == index);
        let index = known.ok_or_else(|| {
            let last = n_sizes - 1;
            let why = format!("There is no size {index}; expected an integer from 0 to {last}.");
            Failure::new(Kind::UnknownSize, why)
        })?;
        if index >= self.n_fitting {
            let largest = self.n_fitting - 1;
            let why = format!(
                "Size {index} does not fit in this browser's memory. Choose one from 0 to {largest}."
            );
            return Err(Failure::new(Kind::Memory, why));
        }
        self.size.set(index);
        self.prioritize();
        self.dispatch("sizechange", &JsValue::UNDEFINED);
        Ok(())
    }

    fn prioritize(&self) {
        if !self.is_loaded(self.patch()) {
            let patch = self.patch().clone();
            self.send(&Request::Family(FamilyRequest::Prioritize { patch }));
        }
    }

    pub fn sizes(&self) -> Vec<SizeEntry> {
        let path = self.card.path().iter().enumerate();
        let entry = |(index, patch)| {
            values::size(&self.card, index, index < self.n_fitting, self.is_loaded(patch))
        };
        path.map(entry).collect()
    }

    fn is_loaded(&self, patch: &Patch) -> bool {
        self.card.n_missing_bytes(patch, &self.loaded_files.borrow()) == 0
    }

    /// Waits until the smallest size can generate.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn smallest_loaded(&self) -> Result<(), Failure> {
        self.waited(|| self.is_loaded(&self.card.path()[0])).await
    }

    /// Waits until all sizes that fit are loaded; resumes loading if it was interrupted.
    ///
    /// # Errors
    /// Why they are not.
    pub async fn all_loaded(&self) -> Result<(), Failure> {
        self.resume();
        self.waited(|| matches!(*self.loading.borrow(), Loading::Done)).await
    }

    /// Loads the rest, if loading was interrupted.
    pub fn resume(&self) {
        let was_interrupted = matches!(*self.loading.borrow(), Loading::Interrupted(_));
        if was_interrupted {
            self.loading.replace(Loading::Running);
            self.ask_for_family();
        }
    }

    async fn waited(&self, is_done: impl Fn() -> bool) -> Result<(), Failure> {
        loop {
            self.ensure_open()?;
            if is_done() {
                return Ok(());
            }
            if let Loading::Interrupted(failure) = &*self.loading.borrow() {
                return Err(failure.clone());
            }
            self.waiters.next().await;
        }
    }

    /// # Errors
    /// Why the worker is gone.
    pub fn ensure_open(&self) -> Result<(), Failure> {
        self.ended.borrow().clone().map_or(Ok(()), Err)
    }

    /// Asks the current size, after all requests before.
    ///
    /// # Errors
    /// Why the worker is gone.
    pub fn ask(
        self: &Rc<Self>,
        request: impl FnOnce(Patch) -> ModelRequest,
    ) -> Result<Ticket, Failure> {
        self.ensure_open()?;
        let ticket = self.requests.add(self, self.patch(), request(self.patch().clone()));
        self.send_next();
        Ok(ticket)
    }

    /// Ends the worker; what was requested fails with this.
    pub fn end(&self, failure: &Failure) {
        if self.ended.borrow().is_some() {
            return;
        }
        self.ended.replace(Some(failure.clone()));
        self.requests.end(failure);
        self.waiters.notify();
        // Not at once: this may be called from a message of the worker that it terminates.
        let worker = self.worker.take();
        spawn_local(async move { drop(worker) });
    }

    /// A worker that has not started would not receive it.
    fn send(&self, request: &Request) {
        if !self.has_started.get() {
            return;
        }
        if let Some(worker) = &*self.worker.borrow() {
            worker.send(request, &[]);
        }
    }

    fn send_next(&self) {
        if self.has_started.get()
            && let Some((id, request)) = self.requests.next()
        {
            self.send(&Request::Model { id, request });
        }
    }

    /// Stops a request, or removes it if it waits for others.
    fn stop(&self, id: u32) {
        if self.requests.stop(id) {
            self.send(&Request::Stop { id });
        }
    }

    fn ask_for_family(&self) {
        let Source { manifest_url, manifest, is_stored } = &self.source;
        let (manifest_url, manifest) = (manifest_url.clone(), manifest.clone());
        let n_sizes = self.n_fitting;
        let is_resuming = !self.loaded_files.borrow().is_empty();
        self.send(&Request::Family(if *is_stored || is_resuming {
            FamilyRequest::Load { manifest_url, manifest, n_sizes }
        } else {
            let (paths, is_kept) = (Vec::new(), false);
            FamilyRequest::Adopt { manifest_url, manifest, n_sizes, paths, is_kept }
        }));
    }

    fn on_reply(&self, reply: Reply) {
        match reply {
            Reply::Ready { .. } => {
                self.has_started.set(true);
                self.ask_for_family();
                self.prioritize();
                self.send_next();
            }
            Reply::Failed { notice } => self.on_failure(WorkerFailure::Dead(notice)),
            Reply::Family(reply) => self.on_family_reply(reply),
            Reply::Text { id, reply } => {
                if self.requests.on_text_reply(id, reply, |patch| self.is_loaded(patch)) {
                    self.send_next();
                }
            }
            Reply::Answer { id, reply } => {
                if self.requests.on_answer(id, reply, |patch| self.is_loaded(patch)) {
                    self.send_next();
                }
            }
            // The package lists nothing of what is stored, uploads nothing, and asks for neither.
            Reply::Store(_) | Reply::Upload(_) | Reply::Pong | Reply::Counted { .. } => {}
        }
    }

    fn on_family_reply(&self, reply: FamilyReply) {
        match reply {
            FamilyReply::Progress { bytes, total, path } => {
                let progress = values::object(&Progress { bytes, total, path: &path });
                self.dispatch("progress", &progress);
            }
            FamilyReply::FileLoaded { path } => {
                let n_loaded = || self.sizes().iter().filter(|size| size.loaded).count();
                let before = n_loaded();
                self.loaded_files.borrow_mut().insert(path);
                self.waiters.notify();
                if n_loaded() > before {
                    self.dispatch("sizechange", &JsValue::UNDEFINED);
                }
            }
            FamilyReply::Loaded => {
                self.loading.replace(Loading::Done);
                self.waiters.notify();
                self.dispatch("loaded", &JsValue::UNDEFINED);
            }
            FamilyReply::LoadFailed { notice, problem } => {
                let failure = Failure::of_load(problem, &notice);
                self.loading.replace(Loading::Interrupted(failure.clone()));
                self.waiters.notify();
                self.dispatch("error", &failure.into());
            }
        }
    }

    fn on_failure(&self, failure: WorkerFailure) {
        let next = match &failure {
            WorkerFailure::WrongBuild(_) => {
                "Serve all files of the package from one version, and reload the page."
            }
            WorkerFailure::Dead(_) if self.has_started.get() => {
                "Call load() again; a smaller size may fit in memory."
            }
            WorkerFailure::Dead(_) => NOT_STARTED,
        };
        let Notice { what, why, .. } = failure.notice();
        let failure = Failure::of_notice(Kind::Worker, &Notice::new(what, why, next));
        let is_first = self.ended.borrow().is_none();
        self.end(&failure);
        if is_first {
            self.dispatch("error", &failure.into());
        }
    }

    fn dispatch(&self, name: &str, detail: &JsValue) {
        dispatch(&self.events, name, detail);
    }
}

/// Calls the listeners on an event of this name.
pub(crate) fn dispatch(target: &EventTarget, name: &str, detail: &JsValue) {
    let init = CustomEventInit::new();
    init.set_detail(detail);
    if let Ok(event) = CustomEvent::new_with_event_init_dict(name, &init) {
        // Errors of listeners are reported by the browser.
        let _ = target.dispatch_event(&event);
    }
}

const NOT_STARTED: &str = "Serve worker.js and engine-cpu.js with engine-cpu_bg.wasm from the \
    package; where they are on another origin than the page, pass workerUrl, or allow workers from \
    blob: in the page's policy (worker-src).";

fn not_started(error: &JsValue) -> Failure {
    let why = boomerang_engine::fetch::reason(error);
    let notice = Notice::new("The model's worker does not run.", why, NOT_STARTED);
    Failure::of_notice(Kind::Worker, &notice)
}
