//! The page's handle on the model's worker.

use boomerang_engine::messages::{Reply, Request};
use boomerang_engine::notice::Notice;
use js_sys::Uint8Array;

use crate::wire::Wire;

/// A running worker; dropping it ends the worker and gives its memory back.
pub struct Engine {
    wire: Wire,
}

impl Engine {
    /// Starts the worker behind `script`; `hear` gets all it says, and how it dies.
    ///
    /// # Errors
    /// A [`Notice`] when the browser starts no workers.
    pub fn start(script: &str, hear: impl Fn(Reply) + Clone + 'static) -> Result<Self, Notice> {
        let hear_error = hear.clone();
        let on_message = move |text: String, _| {
            let reply = serde_json::from_str(&text).unwrap_or_else(|error| {
                let next = "Reload the page.";
                let notice = Notice::new("Page and model do not fit together.", error, next);
                Reply::Failed { id: None, notice }
            });
            hear(reply);
        };
        let on_death =
            move |why: String| hear_error(Reply::Failed { id: None, notice: not_running(&why) });
        let wire = Wire::start(script, on_message, on_death).map_err(|why| not_running(&why))?;
        Ok(Self { wire })
    }

    pub fn ask(&self, request: &Request) {
        self.ask_with(request, &[]);
    }

    /// Asks with files beside the request, which are copied.
    pub fn ask_with(&self, request: &Request, files: &[Uint8Array]) {
        // Requests are plain data.
        if let Ok(text) = serde_json::to_string(request) {
            self.wire.send(&text, files);
        }
    }
}

fn not_running(why: &str) -> Notice {
    Notice::new("The model's worker does not run.", why, "Reload the page.")
}
