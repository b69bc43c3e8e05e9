//! A worker, whatever it does: started, told, heard, and ended.

use boomerang_engine::fetch::reason;
use boomerang_engine::parcel::{pack, unpack};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

/// A running worker; dropping it ends the worker and gives its memory back.
pub struct Wire {
    worker: Worker,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

impl Wire {
    /// Starts the worker behind `script`. `hear` gets its messages, `mourn` the reason of its death.
    ///
    /// # Errors
    /// The reason, when the browser starts no workers.
    pub fn start(
        script: &str,
        hear: impl Fn(String, Vec<Blob>) + 'static,
        mourn: impl Fn(String) + 'static,
    ) -> Result<Self, String> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(script, &options).map_err(|error| reason(&error))?;
        let on_message = move |event: MessageEvent| {
            let (text, files) = unpack(&event.data());
            hear(text, files);
        };
        let on_error = move |event: ErrorEvent| {
            // A script that does not load gives a plain event, without a message.
            let message = JsValue::from(&event);
            let message = js_sys::Reflect::get(&message, &"message".into()).ok();
            let message = message.and_then(|message| message.as_string());
            mourn(message.unwrap_or_else(|| "its program did not load".to_owned()));
        };
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message);
        let on_error = Closure::<dyn FnMut(ErrorEvent)>::new(on_error);
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Ok(Self { worker, _on_message: on_message, _on_error: on_error })
    }

    /// Tells the worker something; the files are not copied.
    pub fn send(&self, text: &str, files: &[Blob]) {
        // A dead worker has already said so.
        let _ = self.worker.post_message(&pack(text, files));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}
