//! The page's handle on the worker.

use boomerang_engine::fetch::reason;
use boomerang_engine::messages::{Reply, Request};
use boomerang_engine::notice::Notice;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

/// A running worker; dropping it ends the worker and gives its memory back.
pub struct Engine {
    worker: Worker,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

impl Engine {
    /// Starts the worker behind `script`; `hear` gets all it says, and how it dies.
    ///
    /// # Errors
    /// A [`Notice`] when the browser starts no workers.
    pub fn start(script: &str, hear: impl Fn(Reply) + Clone + 'static) -> Result<Self, Notice> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(script, &options)
            .map_err(|error| not_running(&reason(&error)))?;

        let hear_error = hear.clone();
        let on_message = move |event: MessageEvent| {
            let text = event.data().as_string().unwrap_or_default();
            let reply = serde_json::from_str(&text).unwrap_or_else(|error| {
                let next = "Reload the page.";
                let notice = Notice::new("Page and model do not fit together.", error, next);
                Reply::Failed { id: None, notice }
            });
            hear(reply);
        };
        let on_error = move |event: ErrorEvent| {
            // A script that does not load gives a plain event, without a message.
            let message = JsValue::from(&event);
            let message = js_sys::Reflect::get(&message, &"message".into()).ok();
            let message = message.and_then(|message| message.as_string());
            let why = message.unwrap_or_else(|| "its program did not load".to_owned());
            hear_error(Reply::Failed { id: None, notice: not_running(&why) });
        };
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message);
        let on_error = Closure::<dyn FnMut(ErrorEvent)>::new(on_error);
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Ok(Self { worker, _on_message: on_message, _on_error: on_error })
    }

    pub fn ask(&self, request: &Request) {
        // Requests are plain data, and a dead worker has already said so.
        if let Ok(text) = serde_json::to_string(request) {
            let _ = self.worker.post_message(&JsValue::from_str(&text));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

fn not_running(why: &str) -> Notice {
    Notice::new("The model's worker does not run.", why, "Reload the page.")
}
