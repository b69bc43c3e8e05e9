//! The page's handle on the model's worker.

use std::rc::Rc;

use boomerang_engine::messages::{
    AnswerReply, FamilyReply, Reply, Request, StoreReply, TextReply, UploadReply,
};
use boomerang_engine::notice::Notice;
use web_sys::Blob;

use super::worker::{WorkerFailure, WorkerHandle};

/// A running engine; dropping it terminates the worker and frees its memory.
pub struct Engine {
    worker: WorkerHandle,
}

/// What the page does with the engine's replies.
///
/// A client gets replies only to the kinds of requests that it makes, and handles only those.
pub trait EngineClient {
    /// The worker listens; it has received nothing sent before.
    fn on_ready(&self);

    fn on_failure(&self, failure: WorkerFailure);

    /// The worker has replied, whatever the reply.
    fn on_any_reply(&self) {}

    fn on_counted(&self, _id: u32, _n_tokens: Option<usize>) {}

    fn on_family_reply(&self, _reply: FamilyReply) {}

    fn on_text_reply(&self, _id: u32, _reply: TextReply) {}

    fn on_answer(&self, _id: u32, _reply: AnswerReply) {}

    fn on_store_reply(&self, _reply: StoreReply) {}

    /// With the files beside the reply.
    fn on_upload_reply(&self, _reply: UploadReply, _files: Vec<Blob>) {}
}

impl Engine {
    /// Starts the worker behind `script`.
    ///
    /// # Errors
    /// A [`Notice`] when the browser starts no workers.
    pub fn start(script: &str, client: impl EngineClient + 'static) -> Result<Self, Notice> {
        let on_reply = move |reply| match reply {
            Ok((reply, files)) => dispatch(&client, reply, files),
            Err(failure) => client.on_failure(failure),
        };
        let worker = WorkerHandle::start::<Reply>(script, "model's worker", Rc::new(on_reply))?;
        Ok(Self { worker })
    }

    pub fn ask(&self, request: &Request) {
        self.ask_with(request, &[]);
    }

    /// With files beside the request, which are not copied.
    pub fn ask_with(&self, request: &Request, files: &[Blob]) {
        self.worker.send(request, files);
    }
}

fn dispatch(client: &dyn EngineClient, reply: Reply, files: Vec<Blob>) {
    client.on_any_reply();
    match reply {
        Reply::Ready { .. } => client.on_ready(),
        Reply::Failed { notice } => client.on_failure(WorkerFailure::Dead(notice)),
        Reply::Family(reply) => client.on_family_reply(reply),
        Reply::Text { id, reply } => client.on_text_reply(id, reply),
        Reply::Answer { id, reply } => client.on_answer(id, reply),
        Reply::Store(reply) => client.on_store_reply(reply),
        Reply::Upload(reply) => client.on_upload_reply(reply, files),
        Reply::Pong => {}
        Reply::Counted { id, n_tokens } => client.on_counted(id, n_tokens),
    }
}
