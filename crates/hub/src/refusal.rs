//! The sentences that are given when a model does not come from the Hub, each with what to do.

use crate::cache::ModelCache;
use crate::error::HubError;
use crate::{HubId, HubSettings};

/// The environment forbids to ask.
pub(crate) fn offline(id: &HubId, settings: &HubSettings) -> HubError {
    HubError::Network(format!(
        "{id} is not complete in the cache, and HF_HUB_OFFLINE is set, so the Hub is not asked; {}",
        by_hand(id, settings)
    ))
}

/// Nobody answers.
pub(crate) fn unreachable(id: &HubId, settings: &HubSettings, cause: &str) -> HubError {
    HubError::Network(format!(
        "{id} is not complete in the cache, and {} cannot be reached ({cause}); try again, or {}",
        server(settings),
        by_hand(id, settings)
    ))
}

/// The server was reached, and the connection failed time and again.
pub(crate) fn interrupted(id: &HubId, settings: &HubSettings, cause: &str) -> HubError {
    HubError::Network(format!(
        "{id} did not arrive as a whole from {} ({cause}); what did arrive is kept, and the same \
         command resumes from there; or {}",
        server(settings),
        by_hand(id, settings)
    ))
}

/// The server answered with an error; `code` is its own word for it, where it has one.
pub(crate) fn answered(id: &HubId, settings: &HubSettings, status: u16, code: &str) -> HubError {
    let (repo, server) = (id.repo(), server(settings));
    let sentence = match (status, code) {
        (_, "RevisionNotFound") => {
            format!("{repo} has no revision {:?} on {server}", id.revision())
        }
        (404, _) | (_, "RepoNotFound") => format!(
            "{id} is not found on {server} (or it is private): check the name, or set HF_TOKEN to \
             a token that may read it"
        ),
        (401 | 403, _) => match &settings.token {
            None => format!(
                "{id} needs a token: set HF_TOKEN, and accept the license on the model's page; {server} \
                 answers so too when there is no model of this name"
            ),
            Some(token) => format!(
                "the token from {} does not open {id}: accept the license on the model's page, and \
                 check that the token is valid and may read this model",
                token.origin()
            ),
        },
        _ => format!("{server} answered {status} when asked for {id}"),
    };
    HubError::Network(sentence)
}

/// What was sent is not what was promised.
pub(crate) fn damaged(id: &HubId, name: &str, expected: &str, found: &str) -> HubError {
    HubError::Network(format!(
        "{name} of {id} arrived with hash {found}; expected {expected}; it was removed, try again"
    ))
}

/// As [`damaged`], and it could be told from the size alone.
pub(crate) fn other_size(id: &HubId, name: &str, expected: u64, found: u64) -> HubError {
    HubError::Network(format!(
        "{name} of {id} arrives with {found} bytes; expected {expected}; try again"
    ))
}

/// The server said something that no Hub says.
pub(crate) fn senseless(id: &HubId, settings: &HubSettings, what: &str) -> HubError {
    HubError::Network(format!("{} gives {what} for {id}", server(settings)))
}

/// Where files go when they come some other way.
fn by_hand(id: &HubId, settings: &HubSettings) -> String {
    let folder = ModelCache::new(settings, id).snapshot(id.revision());
    format!(
        "put the model's files (config.json, model.safetensors, tokenizer.json, …) into a folder \
         and give that folder in place of {id}, or put them into {}",
        folder.display()
    )
}

/// The server as its user knows it; an address with a password in it is not shown.
fn server(settings: &HubSettings) -> String {
    match &settings.endpoint {
        Some(endpoint) if endpoint.contains('@') => "the server in HF_ENDPOINT".to_owned(),
        Some(endpoint) => format!("the Hub at {endpoint}"),
        None => "the Hub".to_owned(),
    }
}
