//! The worker: the dispatch of requests, and the family it holds.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;

use boomerang_core::model::WeightFormat;
use burn::tensor::Device;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::spawn_local;
use web_sys::{Blob, DedicatedWorkerGlobalScope, MessageEvent};

use crate::bundle::Bundle;
use crate::generating::LastText;
use crate::messages::{
    Answer, AnswerReply, ModelRequest, PROTOCOL, Question, Reply, Request, TextReply,
};
use crate::notice::Notice;
use crate::parcel::{pack, unpack};
use crate::store::Store;
use crate::throttle::Throttle;
use crate::upload::Upload;
use crate::waiters::Waiters;

/// Answers the page's requests from now on, with the model on the device that `device` opens, its
/// matrices in this format.
pub fn serve<F>(format: WeightFormat, device: F)
where
    F: Future<Output = Result<Device, Notice>> + 'static,
{
    std::panic::set_hook(Box::new(|panic| {
        console_error_panic_hook::hook(panic);
        let why = panic.to_string();
        let next = "Reload the page; a smaller size may fit.";
        post(&Reply::Failed { notice: Notice::new("The model stopped.", why, next) });
    }));
    spawn_local(async move {
        match device.await {
            Ok(device) => listen(Worker::new(device, format, Store::open().await)),
            Err(notice) => post(&Reply::Failed { notice }),
        }
    });
}

/// What the worker holds between requests.
pub(crate) struct Worker {
    pub(crate) device: Device,
    pub(crate) format: WeightFormat,
    pub(crate) bundle: RefCell<Option<Bundle>>,
    pub(crate) store: Store,
    /// Tasks that wait for a file or a stop.
    pub(crate) waiters: Waiters,
    /// Of the progress of downloads.
    pub(crate) throttle: Throttle,
    /// How often a family has replaced another.
    pub(crate) n_adopted: Cell<u32>,
    /// Of the current family; dropped with it.
    pub(crate) last_text: RefCell<Option<LastText>>,
    /// What was uploaded and inspected, until it is packed.
    pub(crate) upload: RefCell<Option<Upload>>,
    /// Model requests are answered one after the other.
    waiting: RefCell<VecDeque<(u32, ModelRequest)>>,
    is_busy: Cell<bool>,
    /// Requests with this id or a smaller one are to stop.
    stopped: Cell<u32>,
}

fn listen(worker: Worker) {
    let worker = Rc::new(worker);
    let on_message = move |event: MessageEvent| {
        let (request, files) = match unpack(&event.data()) {
            Ok(it) => it,
            Err(why) => {
                let what = "The page and the model's worker do not match.";
                let notice = Notice::new(what, why, "Reload the page.");
                return post(&Reply::Failed { notice });
            }
        };
        match request {
            Request::Model { id, request } => Worker::enqueue(&worker, id, request),
            Request::Stop { id } => worker.stop(id),
            Request::Ping => post(&Reply::Pong),
            Request::Count { id, prompt } => {
                let n_tokens = worker.n_tokens(&prompt);
                post(&Reply::Counted { id, n_tokens });
            }
            Request::Family(request) => Worker::on_family_request(&worker, request, files),
            Request::Store(request) => {
                let worker = Rc::clone(&worker);
                spawn_local(async move { worker.on_store_request(request).await });
            }
            Request::Upload(request) => {
                let worker = Rc::clone(&worker);
                spawn_local(async move { worker.on_upload_request(request, files).await });
            }
        }
    };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message).into_js_value();
    scope().set_onmessage(Some(on_message.unchecked_ref()));
    post(&Reply::Ready { protocol: PROTOCOL });
}

impl Worker {
    fn new(device: Device, format: WeightFormat, store: Store) -> Self {
        Self {
            device,
            format,
            bundle: RefCell::new(None),
            store,
            waiters: Waiters::default(),
            throttle: Throttle::default(),
            n_adopted: Cell::new(0),
            last_text: RefCell::new(None),
            upload: RefCell::new(None),
            waiting: RefCell::default(),
            is_busy: Cell::new(false),
            stopped: Cell::new(0),
        }
    }

    fn stop(&self, id: u32) {
        self.stopped.set(self.stopped.get().max(id));
        self.waiters.notify();
    }

    /// Whether the user has stopped this request.
    pub(crate) fn is_stopped(&self, id: u32) -> bool {
        self.stopped.get() >= id
    }

    fn enqueue(worker: &Rc<Self>, id: u32, request: ModelRequest) {
        worker.waiting.borrow_mut().push_back((id, request));
        if !worker.is_busy.replace(true) {
            let worker = Rc::clone(worker);
            spawn_local(async move {
                while let Some((id, request)) = worker.next_request() {
                    worker.on_model_request(id, request).await;
                }
                worker.is_busy.set(false);
            });
        }
    }

    fn next_request(&self) -> Option<(u32, ModelRequest)> {
        self.waiting.borrow_mut().pop_front()
    }

    async fn on_model_request(&self, id: u32, request: ModelRequest) {
        match request {
            ModelRequest::Generate { patch, prompt, n_tokens, sampling } => {
                let outcome = self.generate(id, &patch, &prompt, n_tokens, sampling).await;
                if let Err(notice) = outcome {
                    post(&Reply::Text { id, reply: TextReply::Failed { notice } });
                }
            }
            ModelRequest::Ask(question) => {
                if let Err(notice) = self.on_question(id, question).await {
                    post(&Reply::Answer { id, reply: AnswerReply::Failed { notice } });
                }
            }
        }
    }

    async fn on_question(&self, id: u32, question: Question) -> Result<(), Notice> {
        match question {
            Question::Guess { patches, tokens, from } => {
                self.guess(id, &patches, &tokens, from).await
            }
            Question::Certainty { patch, tokens, from } => {
                self.certainty(id, &patch, &tokens, from).await
            }
            Question::Lens { patch, text } => self.lens(id, &patch, &text).await,
            Question::Score { patches, text } => self.score(id, &patches, &text).await,
            Question::Measure { patches, task } => self.measure(id, &patches, &task).await,
            Question::Check { recorded } => self.check(id, &recorded).await,
        }
    }
}

pub(crate) fn post(reply: &Reply) {
    post_with(reply, &[]);
}

/// With files beside the reply.
pub(crate) fn post_with(reply: &Reply, files: &[Blob]) {
    // The page cannot close before its worker.
    let _ = scope().post_message(&pack(reply, files));
}

/// One part of the answer to a question.
pub(crate) fn answer(id: u32, part: Answer) {
    post(&Reply::Answer { id, reply: AnswerReply::Part(part) });
}

/// The end of the answer to a question.
pub(crate) fn ended(id: u32, is_stopped: bool) -> Result<(), Notice> {
    post(&Reply::Answer { id, reply: AnswerReply::Ended { is_stopped } });
    Ok(())
}

pub(crate) fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

pub(crate) fn now_millis() -> f64 {
    scope().performance().map_or_else(js_sys::Date::now, |performance| performance.now())
}
