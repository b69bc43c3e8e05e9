//! The page's handle on the model's worker.

use std::rc::Rc;

use boomerang_engine::messages::{Reply, Request};
use boomerang_engine::notice::Notice;
use web_sys::Blob;

use crate::browser::worker::{Silence, Wire};

/// A running worker; dropping it ends the worker and gives its memory back.
pub struct Engine {
    wire: Wire,
}

impl Engine {
    /// Starts the worker behind `script`; `hear` gets all it says with the files beside it, and how
    /// it dies.
    ///
    /// # Errors
    /// A [`Notice`] when the browser starts no workers.
    pub fn start(
        script: &str,
        hear: impl Fn(Result<(Reply, Vec<Blob>), Silence>) + 'static,
    ) -> Result<Self, Notice> {
        let wire = Wire::start::<Reply>(script, "model's worker", Rc::new(hear))?;
        Ok(Self { wire })
    }

    pub fn ask(&self, request: &Request) {
        self.ask_with(request, &[]);
    }

    /// Asks with files beside the request, which are not copied.
    pub fn ask_with(&self, request: &Request, files: &[Blob]) {
        self.wire.send(request, files);
    }
}
