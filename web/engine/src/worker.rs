//! The worker's side: what is asked for, one request after the other, and the family it holds.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;

use burn::tensor::Device;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::spawn_local;
use web_sys::{Blob, DedicatedWorkerGlobalScope, MessageEvent};

use crate::arrivals::Arrivals;
use crate::arriving::{Bundle, Come};
use crate::messages::{PROTOCOL, Reply, Request};
use crate::notice::Notice;
use crate::own::Own;
use crate::pace::Pace;
use crate::parcel::{pack, unpack};
use crate::store::Store;
use crate::writing::LastText;

/// Answers the page's requests from now on, with the model on the device that `device` opens.
pub fn serve<F>(device: F)
where
    F: Future<Output = Result<Device, Notice>> + 'static,
{
    std::panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        let why = panic.to_string();
        let next = "Reload the page; a smaller size may fit.";
        post(&Reply::Failed { id: None, notice: Notice::new("The model stopped.", why, next) });
    }));
    spawn_local(async {
        match device.await {
            Ok(device) => listen(Worker::new(device, Store::open().await)),
            Err(notice) => post(&Reply::Failed { id: None, notice }),
        }
    });
}

/// What the worker holds between requests.
pub(crate) struct Worker {
    pub(crate) device: Device,
    pub(crate) bundle: RefCell<Option<Bundle>>,
    pub(crate) store: Store,
    pub(crate) arrivals: Arrivals,
    /// Of what is told of files that arrive.
    pub(crate) pace: Pace,
    /// Families that have taken the place of another.
    pub(crate) n_adopted: Cell<u32>,
    /// Of the family that is here; dropped with it.
    pub(crate) last_text: RefCell<Option<LastText>>,
    /// What the reader has brought, while it is only looked at.
    pub(crate) own: RefCell<Option<Own>>,
    /// Requests are answered one after the other.
    waiting: RefCell<VecDeque<Request>>,
    is_busy: Cell<bool>,
    /// Texts with this id or a smaller one are to end.
    pub(crate) stopped: Cell<u32>,
}

fn listen(worker: Worker) {
    let worker = Rc::new(worker);
    let on_message = move |event: MessageEvent| {
        let (request, files) = match unpack(&event.data()) {
            Ok(it) => it,
            Err(why) => {
                let what = "The page and the model's worker do not fit together.";
                let notice = Notice::new(what, why, "Reload the page.");
                return post(&Reply::Failed { id: None, notice });
            }
        };
        match request {
            // Not queued: these are about the request that is being answered, or beside it.
            Request::Stop { id } => {
                worker.stopped.set(worker.stopped.get().max(id));
                worker.arrivals.tell();
            }
            Request::Want { patch } => worker.want(&[patch]),
            Request::Load { manifest_url, manifest, n_sizes } => {
                let come = Come { manifest_url, manifest, n_sizes, is_kept: true };
                if let Err(notice) = Worker::load(&worker, come) {
                    post(&Reply::LoadFailed { notice });
                }
            }
            request @ (Request::Stored | Request::Verify { .. } | Request::Delete { .. }) => {
                let worker = Rc::clone(&worker);
                spawn_local(async move { worker.answer_from_store(request).await });
            }
            Request::Adopt { manifest_url, manifest, n_sizes, paths, is_kept } => {
                let files = paths.into_iter().zip(files).collect();
                let come = Come { manifest_url, manifest, n_sizes, is_kept };
                if let Err(notice) = Worker::adopt(&worker, come, files) {
                    post(&Reply::LoadFailed { notice });
                }
            }
            Request::Inspect { id, names } => {
                Worker::answer_aside(&worker, id, async move |worker| {
                    worker.inspect(id, names, files).await
                });
            }
            Request::Pack { id } => {
                Worker::answer_aside(&worker, id, async move |worker| worker.pack(id).await);
            }
            request => Worker::enqueue(&worker, request),
        }
    };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message).into_js_value();
    scope().set_onmessage(Some(on_message.unchecked_ref()));
    post(&Reply::Ready { protocol: PROTOCOL });
}

impl Worker {
    fn new(device: Device, store: Store) -> Self {
        Self {
            device,
            bundle: RefCell::new(None),
            store,
            arrivals: Arrivals::default(),
            pace: Pace::default(),
            n_adopted: Cell::new(0),
            last_text: RefCell::new(None),
            own: RefCell::new(None),
            waiting: RefCell::default(),
            is_busy: Cell::new(false),
            stopped: Cell::new(0),
        }
    }

    /// Whether the reader has had enough of this request.
    pub(crate) fn is_stopped(&self, id: u32) -> bool {
        self.stopped.get() >= id
    }

    fn enqueue(worker: &Rc<Self>, request: Request) {
        worker.waiting.borrow_mut().push_back(request);
        if !worker.is_busy.replace(true) {
            let worker = Rc::clone(worker);
            spawn_local(async move {
                while let Some(request) = worker.next_request() {
                    worker.answer(request).await;
                }
                worker.is_busy.set(false);
            });
        }
    }

    /// Answers what asks nothing of the model while the model answers something else.
    fn answer_aside<F>(worker: &Rc<Self>, id: u32, answer: F)
    where
        F: AsyncFnOnce(&Self) -> Result<(), Notice> + 'static,
    {
        let worker = Rc::clone(worker);
        spawn_local(async move {
            if let Err(notice) = answer(&worker).await {
                post(&Reply::Failed { id: Some(id), notice });
            }
        });
    }

    fn next_request(&self) -> Option<Request> {
        self.waiting.borrow_mut().pop_front()
    }

    async fn answer(&self, request: Request) {
        let (id, outcome) = match request {
            Request::Generate { id, patch, prompt, n_tokens, sampling } => {
                (Some(id), self.generate(id, &patch, &prompt, n_tokens, sampling).await)
            }
            Request::Guess { id, patches, tokens, from } => {
                (Some(id), self.guess(id, &patches, &tokens, from).await)
            }
            Request::Certainty { id, patch, tokens, from } => {
                (Some(id), self.certainty(id, &patch, &tokens, from).await)
            }
            Request::Lens { id, patch, text } => (Some(id), self.lens(id, &patch, &text).await),
            Request::Score { id, patches, text } => {
                (Some(id), self.score(id, &patches, &text).await)
            }
            Request::Measure { id, patches, task } => {
                (Some(id), self.measure(id, &patches, &task).await)
            }
            Request::Check { id, recorded } => (Some(id), self.check(id, &recorded).await),
            Request::Load { .. }
            | Request::Adopt { .. }
            | Request::Inspect { .. }
            | Request::Pack { .. }
            | Request::Want { .. }
            | Request::Stop { .. }
            | Request::Stored
            | Request::Verify { .. }
            | Request::Delete { .. } => return,
        };
        if let Err(notice) = outcome {
            post(&Reply::Failed { id, notice });
        }
    }
}

pub(crate) fn post(reply: &Reply) {
    post_with(reply, &[]);
}

/// With files beside the reply.
pub(crate) fn post_with(reply: &Reply, files: &[Blob]) {
    // The page only goes away together with this worker.
    let _ = scope().post_message(&pack(reply, files));
}

/// Nothing more is to be said to this request.
pub(crate) fn ended(id: u32, is_stopped: bool) -> Result<(), Notice> {
    post(&Reply::Ended { id, is_stopped });
    Ok(())
}

pub(crate) fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

pub(crate) fn now_millis() -> f64 {
    scope().performance().map_or_else(js_sys::Date::now, |performance| performance.now())
}
