//! Why a file was not read or written.

use std::error::Error;
use std::result;

/// Why a file was not read or written. Every message names the path.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// An output that would overwrite an input, or a file that Boomerang did not write.
    #[error("{0}")]
    Refused(String),
    /// An input that is missing or invalid.
    #[error("{0}")]
    Unusable(String),
    /// What was being done, and the error of the system or of a parser.
    #[error("{context}")]
    Failed {
        context: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// A result whose error names a path.
pub type Result<T> = result::Result<T, FileError>;

/// Adds context to an error.
pub(crate) trait Context<T> {
    fn with_context(self, context: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Error + Send + Sync + 'static> Context<T> for result::Result<T, E> {
    fn with_context(self, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| FileError::Failed { context: context(), source: Box::new(error) })
    }
}
