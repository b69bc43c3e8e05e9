//! A worker, whatever it does: started, told, heard, and ended.

use std::rc::Rc;

use boomerang_engine::fetch::reason;
use boomerang_engine::notice::Notice;
use boomerang_engine::parcel::{FromWorker, pack, unpack};
use serde::Serialize;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

/// A running worker; dropping it ends the worker and gives its memory back.
pub struct Wire {
    worker: Worker,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

/// Who hears a worker: what it says, with the files beside it, or why it says nothing.
pub type Hearer<Reply> = Rc<dyn Fn(Result<(Reply, Vec<Blob>), Silence>)>;

/// Why nothing is heard of a worker.
pub enum Silence {
    /// It does not run, or no more.
    Dead(Notice),
    /// It is from another build than the page, and so may be all its siblings.
    Foreign(Notice),
}

impl Silence {
    pub fn notice(self) -> Notice {
        match self {
            Self::Dead(notice) | Self::Foreign(notice) => notice,
        }
    }
}

impl Wire {
    /// Starts the worker behind `script`; notices call it `name`.
    ///
    /// # Errors
    /// A [`Notice`] when the browser starts no workers.
    pub fn start<Reply: FromWorker + 'static>(
        script: &str,
        name: &'static str,
        hear: Hearer<Reply>,
    ) -> Result<Self, Notice> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(script, &options)
            .map_err(|error| not_running(name, &reason(&error)))?;
        let hear_death = Rc::clone(&hear);
        let on_message = move |event: MessageEvent| {
            hear(read(name, &event.data()).map_err(Silence::Foreign));
        };
        let on_error = move |event: ErrorEvent| {
            // A script that does not load gives a plain event, without a message.
            let message = JsValue::from(&event);
            let message = js_sys::Reflect::get(&message, &"message".into()).ok();
            let message = message.and_then(|message| message.as_string());
            let why = message.unwrap_or_else(|| "its program did not load".to_owned());
            hear_death(Err(Silence::Dead(not_running(name, &why))));
        };
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message);
        let on_error = Closure::<dyn FnMut(ErrorEvent)>::new(on_error);
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Ok(Self { worker, _on_message: on_message, _on_error: on_error })
    }

    /// Tells the worker something; the files are not copied.
    pub fn send(&self, message: &impl Serialize, files: &[Blob]) {
        // A dead worker has already said so.
        let _ = self.worker.post_message(&pack(message, files));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

const PAST_THE_CACHE: &str = "Reload the page, past the browser's cache if need be.";

fn read<Reply: FromWorker>(name: &str, data: &JsValue) -> Result<(Reply, Vec<Blob>), Notice> {
    let (reply, files) = unpack::<Reply>(data).map_err(|why| {
        let what = format!("The page and the {name} do not fit together.");
        Notice::new(what, why, PAST_THE_CACHE)
    })?;
    match reply.protocol() {
        Some(protocol) if protocol != Reply::PROTOCOL => {
            let what = format!("The page and the {name} are from different builds.");
            let page = Reply::PROTOCOL;
            let why = format!("the page speaks version {page}, the {name} {protocol}");
            Err(Notice::new(what, why, PAST_THE_CACHE))
        }
        _ => Ok((reply, files)),
    }
}

fn not_running(name: &str, why: &str) -> Notice {
    Notice::new(format!("The {name} does not run."), why, "Reload the page.")
}
