//! The protocol between the page and the worker: requests and replies, by who answers them.

mod family;
mod model;
mod prompt;
mod store;
#[cfg(test)]
mod tests;
mod upload;

use serde::{Deserialize, Serialize};

pub use family::{FamilyReply, FamilyRequest};
pub use model::{
    Answer, AnswerReply, CheckedMember, DecodingSpeed, Ending, GuessedToken, LensLayer, LensReport,
    LikelyToken, MeasuredMember, ModelRequest, Question, RunReport, TextEvent, TextReply,
    TextScore, TokenCertainty,
};
pub use prompt::{ChatMessage, Prompt, Role};
pub use store::{
    FileState, StorageKind, StorageSpace, StoreReply, StoreRequest, StoredModel, StoredReport,
};
pub use upload::{UploadReply, UploadRequest};

use crate::notice::Notice;
use crate::parcel::FromWorker;

/// The version of the protocol in this build.
pub const PROTOCOL: u32 = 13;

/// From the page to the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// About the family that the worker holds; handled at once.
    Family(FamilyRequest),
    /// For members of that family, answered one after the other. Ids ascend.
    Model { id: u32, request: ModelRequest },
    /// Stop this model request and all before it.
    Stop { id: u32 },
    /// About the models stored in this browser; handled at once.
    Store(StoreRequest),
    /// About files uploaded by the user; handled at once.
    Upload(UploadRequest),
    /// Whether the worker still answers; handled at once.
    Ping,
    /// How many tokens a prompt has; handled at once.
    Count { id: u32, prompt: Prompt },
}

/// From the worker to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The worker runs and listens; it has received nothing sent before this. It stays the first.
    Ready {
        protocol: u32,
    },
    /// The worker itself has failed.
    Failed {
        notice: Notice,
    },
    Family(FamilyReply),
    /// To [`ModelRequest::Generate`].
    Text {
        id: u32,
        reply: TextReply,
    },
    /// To [`ModelRequest::Ask`].
    Answer {
        id: u32,
        reply: AnswerReply,
    },
    Store(StoreReply),
    Upload(UploadReply),
    /// To [`Request::Ping`].
    Pong,
    /// To [`Request::Count`]; `None` until the tokenizer is loaded, or for a conversation that the chat
    /// template refuses.
    Counted {
        id: u32,
        n_tokens: Option<usize>,
    },
}

impl FromWorker for Reply {
    const PROTOCOL: u32 = PROTOCOL;

    fn protocol(&self) -> Option<u32> {
        if let Self::Ready { protocol } = self { Some(*protocol) } else { None }
    }
}
