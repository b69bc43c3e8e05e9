//! A handle on a web worker of any kind: started, messaged, listened to, terminated.

use std::rc::Rc;

use boomerang_engine::fetch::reason;
use boomerang_engine::notice::Notice;
use boomerang_engine::parcel::{FromWorker, pack, unpack};
use serde::Serialize;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

/// A running worker; dropping it terminates the worker and frees its memory.
pub struct WorkerHandle {
    worker: Worker,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

/// Called for each reply of a worker, with the files beside it, or for its failure.
pub type OnReply<Reply> = Rc<dyn Fn(Result<(Reply, Vec<Blob>), WorkerFailure>)>;

/// Why a worker does not reply.
pub enum WorkerFailure {
    /// It did not start, or has crashed.
    Dead(Notice),
    /// It is from another build than the page, and so may be all workers.
    WrongBuild(Notice),
}

impl WorkerFailure {
    pub fn notice(self) -> Notice {
        match self {
            Self::Dead(notice) | Self::WrongBuild(notice) => notice,
        }
    }
}

impl WorkerHandle {
    /// Starts the worker behind `script`; `name` is for notices.
    ///
    /// # Errors
    /// A [`Notice`] when the browser starts no workers.
    pub fn start<Reply: FromWorker + 'static>(
        script: &str,
        name: &'static str,
        on_reply: OnReply<Reply>,
    ) -> Result<Self, Notice> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(script, &options)
            .map_err(|error| not_running(name, &reason(&error)))?;
        Ok(Self::of(worker, name, on_reply))
    }

    /// A handle on a worker that was just started.
    pub fn of<Reply: FromWorker + 'static>(
        worker: Worker,
        name: &'static str,
        on_reply: OnReply<Reply>,
    ) -> Self {
        let on_failure = Rc::clone(&on_reply);
        let on_message = move |event: MessageEvent| {
            on_reply(read(name, &event.data()).map_err(WorkerFailure::WrongBuild));
        };
        let on_error = move |event: ErrorEvent| {
            // A script that does not load gives a plain event, without a message.
            let message = JsValue::from(&event);
            let message = js_sys::Reflect::get(&message, &"message".into()).ok();
            let message = message.and_then(|message| message.as_string());
            let why = message.unwrap_or_else(|| "its program did not load".to_owned());
            on_failure(Err(WorkerFailure::Dead(not_running(name, &why))));
        };
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message);
        let on_error = Closure::<dyn FnMut(ErrorEvent)>::new(on_error);
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Self { worker, _on_message: on_message, _on_error: on_error }
    }

    /// Sends a message; the files are not copied.
    pub fn send(&self, message: &impl Serialize, files: &[Blob]) {
        // The failure of a dead worker is reported by its error event.
        let _ = self.worker.post_message(&pack(message, files));
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

const RELOAD: &str = "Reload the page, bypassing the browser's cache if necessary.";

fn read<Reply: FromWorker>(name: &str, data: &JsValue) -> Result<(Reply, Vec<Blob>), Notice> {
    let (reply, files) = unpack::<Reply>(data).map_err(|why| {
        let what = format!("The page and the {name} do not match.");
        Notice::new(what, why, RELOAD)
    })?;
    match reply.protocol() {
        Some(protocol) if protocol != Reply::PROTOCOL => {
            let what = format!("The page and the {name} are from different builds.");
            let page = Reply::PROTOCOL;
            let why = format!("the page uses protocol {page}, the {name} protocol {protocol}");
            Err(Notice::new(what, why, RELOAD))
        }
        _ => Ok((reply, files)),
    }
}

fn not_running(name: &str, why: &str) -> Notice {
    Notice::new(format!("The {name} does not run."), why, "Reload the page.")
}
