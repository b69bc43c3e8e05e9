//! The page's handle on the model's worker.

use boomerang_engine::messages::{PROTOCOL, Reply, Request};
use boomerang_engine::notice::Notice;
use web_sys::Blob;

use crate::wire::Wire;

/// A running worker; dropping it ends the worker and gives its memory back.
pub struct Engine {
    wire: Wire,
}

impl Engine {
    /// Starts the worker behind `script`; `hear` gets all it says, and how it dies. One of another
    /// build than the page has failed.
    ///
    /// # Errors
    /// A [`Notice`] when the browser starts no workers.
    pub fn start(script: &str, hear: impl Fn(Reply) + Clone + 'static) -> Result<Self, Notice> {
        Self::start_with_files(script, move |reply, _| hear(reply))
    }

    /// As [`Engine::start`]; `hear` also gets the files that come with a reply.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start_with_files(
        script: &str,
        hear: impl Fn(Reply, Vec<Blob>) + Clone + 'static,
    ) -> Result<Self, Notice> {
        let hear = move |reply, files| hear(of_this_build(reply), files);
        let hear_error = hear.clone();
        let on_message = move |text: String, files| {
            let reply = serde_json::from_str(&text).unwrap_or_else(|error| {
                let next = "Reload the page.";
                let notice = Notice::new("Page and model do not fit together.", error, next);
                Reply::Failed { id: None, notice }
            });
            hear(reply, files);
        };
        let on_death = move |why: String| {
            hear_error(Reply::Failed { id: None, notice: not_running(&why) }, Vec::new());
        };
        let wire = Wire::start(script, on_message, on_death).map_err(|why| not_running(&why))?;
        Ok(Self { wire })
    }

    pub fn ask(&self, request: &Request) {
        self.ask_with(request, &[]);
    }

    /// Asks with files beside the request, which are not copied.
    pub fn ask_with(&self, request: &Request, files: &[Blob]) {
        // Requests are plain data.
        if let Ok(text) = serde_json::to_string(request) {
            self.wire.send(&text, files);
        }
    }
}

/// The reply, unless it says that its worker speaks another version than the page.
fn of_this_build(reply: Reply) -> Reply {
    match reply {
        Reply::Ready { protocol } if protocol != PROTOCOL => {
            let why = format!("the page speaks version {PROTOCOL}, the model {protocol}");
            let next = "Reload the page, past the browser's cache if need be.";
            let notice = Notice::new("Page and model are from different builds.", why, next);
            Reply::Failed { id: None, notice }
        }
        reply => reply,
    }
}

fn not_running(why: &str) -> Notice {
    Notice::new("The model's worker does not run.", why, "Reload the page.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_another_build_has_failed() {
        let ready = Reply::Ready { protocol: PROTOCOL };
        assert_eq!(of_this_build(ready.clone()), ready);
        let other = of_this_build(Reply::Ready { protocol: PROTOCOL + 1 });
        assert!(matches!(other, Reply::Failed { id: None, .. }), "{other:?}");
        assert_eq!(of_this_build(Reply::Loaded), Reply::Loaded);
    }
}
