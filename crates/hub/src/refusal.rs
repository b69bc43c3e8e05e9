//! Errors of downloads, each with what to do.

use crate::cache::ModelCache;
use crate::error::HubError;
use crate::{HubId, HubSettings};

/// Offline mode.
pub(crate) fn offline(id: &HubId, settings: &HubSettings) -> HubError {
    HubError::Network(format!(
        "{id} is not in the cache (or incomplete), and HF_HUB_OFFLINE is set; unset it, or {}",
        by_hand(id, settings)
    ))
}

/// The server cannot be reached.
pub(crate) fn unreachable(id: &HubId, settings: &HubSettings, cause: &str) -> HubError {
    HubError::Network(format!(
        "{id} is not in the cache (or incomplete), and {} cannot be reached ({cause}); try again, or {}",
        server(settings),
        by_hand(id, settings)
    ))
}

/// The server was reached, but the connection failed repeatedly.
pub(crate) fn interrupted(id: &HubId, settings: &HubSettings, cause: &str) -> HubError {
    HubError::Network(format!(
        "the download of {id} from {} is incomplete ({cause}); run the same command to resume it, or \
         {}",
        server(settings),
        by_hand(id, settings)
    ))
}

/// The server answered with an error; `code` is the value of `x-error-code`, if any.
pub(crate) fn answered(id: &HubId, settings: &HubSettings, status: u16, code: &str) -> HubError {
    let (repo, server) = (id.repo(), server(settings));
    let sentence = match (status, code) {
        (_, "RevisionNotFound") => {
            format!("{repo} has no revision {:?} on {server}", id.revision())
        }
        (404, _) | (_, "RepoNotFound") => format!(
            "{id} is not found on {server}, or is private: check the name, or set HF_TOKEN to a \
             token with access to it"
        ),
        (401 | 403, _) => match &settings.token {
            None => format!(
                "{id} needs a token: set HF_TOKEN, and accept the license on the model's page; {server} \
                 also answers like this if the model does not exist"
            ),
            Some(token) => format!(
                "the token from {} has no access to {id}: accept the license on the model's page, and \
                 check that the token is valid and may read this model",
                token.origin()
            ),
        },
        _ => format!("{server} answered {status} to the request for {id}"),
    };
    HubError::Network(sentence)
}

/// A file does not match its hash.
pub(crate) fn damaged(id: &HubId, name: &str, expected: &str, found: &str) -> HubError {
    HubError::Network(format!(
        "{name} of {id} has hash {found}; expected {expected}; the file was removed, try again"
    ))
}

/// As [`damaged`], by the size of the file.
pub(crate) fn other_size(id: &HubId, name: &str, expected: u64, found: u64) -> HubError {
    HubError::Network(format!("{name} of {id} has {found} bytes; expected {expected}; try again"))
}

/// The response of the server is not that of a Hub.
pub(crate) fn senseless(id: &HubId, settings: &HubSettings, what: &str) -> HubError {
    HubError::Network(format!("unexpected response from {} for {id}: {what}", server(settings)))
}

/// Where to put files that are downloaded another way.
fn by_hand(id: &HubId, settings: &HubSettings) -> String {
    let folder = ModelCache::new(settings, id).snapshot(id.revision());
    format!(
        "put the model's files (config.json, model.safetensors, tokenizer.json, …) into a folder \
         and use that folder instead of {id}, or put them into {}",
        folder.display()
    )
}

/// The server as shown in messages; a URL with credentials is not shown.
fn server(settings: &HubSettings) -> String {
    match &settings.endpoint {
        Some(endpoint) if endpoint.contains('@') => "the server in HF_ENDPOINT".to_owned(),
        Some(endpoint) => format!("the Hub at {endpoint}"),
        None => "the Hub".to_owned(),
    }
}
