//! Requests in their order: one is with the worker, the others wait.
//!
//! The worker stops a request together with all before it; one that waits here is removed alone.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use boomerang_core::plan::Patch;
use boomerang_engine::messages::{Answer, AnswerReply, ModelRequest, TextEvent, TextReply};
use boomerang_engine::notice::Notice;
use boomerang_engine::waiters::Waiters;

use super::Connection;
use crate::failure::{Failure, Kind};

/// A part of what a request is answered with.
pub enum Part {
    Text(TextEvent),
    Answer(Answer),
    /// Nothing follows.
    End(Result<(), Failure>),
}

/// A request that was made; dropping it stops it.
pub struct Ticket {
    id: u32,
    inbox: Rc<Inbox>,
    connection: Rc<Connection>,
}

/// What was answered and not yet read.
#[derive(Default)]
struct Inbox {
    parts: RefCell<VecDeque<Part>>,
    end: RefCell<Option<Result<(), Failure>>>,
    waiters: Waiters,
}

struct Pending {
    id: u32,
    /// The member that it is for.
    patch: Patch,
    inbox: Rc<Inbox>,
}

#[derive(Default)]
pub(super) struct Requests {
    last_id: Cell<u32>,
    current: RefCell<Option<Pending>>,
    waiting: RefCell<VecDeque<(Pending, ModelRequest)>>,
}

impl Ticket {
    pub async fn next(&self) -> Part {
        loop {
            if let Some(part) = self.inbox.parts.borrow_mut().pop_front() {
                return part;
            }
            if let Some(end) = &*self.inbox.end.borrow() {
                return Part::End(end.clone());
            }
            self.inbox.waiters.next().await;
        }
    }

    pub fn stop(&self) {
        self.connection.stop(self.id);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inbox {
    fn end(&self, end: Result<(), Failure>) {
        self.end.replace(Some(end));
        self.waiters.notify();
    }
}

impl Requests {
    /// Appends a request for a member.
    pub(super) fn add(
        &self,
        connection: &Rc<Connection>,
        patch: &Patch,
        request: ModelRequest,
    ) -> Ticket {
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        let inbox = Rc::new(Inbox::default());
        let pending = Pending { id, patch: patch.clone(), inbox: Rc::clone(&inbox) };
        self.waiting.borrow_mut().push_back((pending, request));
        Ticket { id, inbox, connection: Rc::clone(connection) }
    }

    /// The request to send now, unless the worker still has one.
    pub(super) fn next(&self) -> Option<(u32, ModelRequest)> {
        let mut current = self.current.borrow_mut();
        if current.is_some() {
            return None;
        }
        let (pending, request) = self.waiting.borrow_mut().pop_front()?;
        let id = pending.id;
        *current = Some(pending);
        Some((id, request))
    }

    /// Whether the worker has this request and is to stop it.
    pub(super) fn stop(&self, id: u32) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(index) = waiting.iter().position(|(pending, _)| pending.id == id)
            && let Some((pending, _)) = waiting.remove(index)
        {
            pending.inbox.end(Ok(()));
        }
        self.current.borrow().as_ref().is_some_and(|current| current.id == id)
    }

    /// Ends all requests.
    pub(super) fn end(&self, failure: &Failure) {
        let waiting = self.waiting.take().into_iter().map(|(pending, _)| pending);
        for pending in self.current.take().into_iter().chain(waiting) {
            pending.inbox.end(Err(failure.clone()));
        }
    }

    /// Whether the worker is free for the next request; `is_loaded` of a member.
    pub(super) fn on_text_reply(
        &self,
        id: u32,
        reply: TextReply,
        is_loaded: impl Fn(&Patch) -> bool,
    ) -> bool {
        let is_last = reply.is_last();
        let part = match reply {
            TextReply::Event(event) => Ok(Some(Part::Text(event))),
            TextReply::Failed { notice } => Err(notice),
        };
        self.on_part(id, is_last, part, is_loaded)
    }

    /// Whether the worker is free for the next request; `is_loaded` of a member.
    pub(super) fn on_answer(
        &self,
        id: u32,
        reply: AnswerReply,
        is_loaded: impl Fn(&Patch) -> bool,
    ) -> bool {
        let is_last = reply.is_last();
        let part = match reply {
            AnswerReply::Part(answer) => Ok(Some(Part::Answer(answer))),
            AnswerReply::Ended { .. } => Ok(None),
            AnswerReply::Failed { notice } => Err(notice),
        };
        self.on_part(id, is_last, part, is_loaded)
    }

    fn on_part(
        &self,
        id: u32,
        is_last: bool,
        part: Result<Option<Part>, Notice>,
        is_loaded: impl Fn(&Patch) -> bool,
    ) -> bool {
        let mut current = self.current.borrow_mut();
        let Some(Pending { patch, inbox, .. }) = current.as_ref().filter(|it| it.id == id) else {
            return false;
        };
        let end = match part {
            Ok(part) => {
                inbox.parts.borrow_mut().extend(part);
                Ok(())
            }
            Err(notice) => Err(failed(&notice, is_loaded(patch))),
        };
        if is_last {
            inbox.end.replace(Some(end));
        }
        inbox.waiters.notify();
        if is_last {
            *current = None;
        }
        is_last
    }
}

fn failed(notice: &Notice, is_loaded: bool) -> Failure {
    if is_loaded {
        return Failure::of_notice(Kind::Text, notice);
    }
    let Notice { what, why, .. } = notice;
    let next = "Call whenLoaded() to resume, or choose a size that is loaded.";
    Failure::of_notice(Kind::NotLoaded, &Notice::new(what, why, next))
}
