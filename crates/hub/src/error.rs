//! Why a model could not be downloaded.

use std::error::Error;
use std::result;

use boomerang_files::FileError;

/// Why a model could not be downloaded, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The environment or the token cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The server cannot be reached, or does not serve what was asked for.
    #[error("{0}")]
    Network(String),
    /// The repository lacks a file that a model needs, or one of its files is damaged.
    #[error("{0}")]
    Incomplete(String),
    /// The cache cannot be read or written.
    #[error("{context}")]
    Cache {
        context: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error(transparent)]
    File(#[from] FileError),
}

pub(crate) type Result<T, E = HubError> = result::Result<T, E>;

/// Adds context to an error of the cache.
pub(crate) trait Context<T> {
    fn with_context(self, context: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Error + Send + Sync + 'static> Context<T> for result::Result<T, E> {
    fn with_context(self, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| HubError::Cache { context: context(), source: Box::new(error) })
    }
}
