//! Why a report cannot be made.

use std::error::Error;
use std::result;

use boomerang_core::documents::DocumentError;
use boomerang_files::FileError;

/// Why a report cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// What was asked for is not among the results.
    #[error("{0}")]
    Unknown(String),
    /// A file is invalid.
    #[error("{0}")]
    Unusable(String),
    /// Which file, and what is wrong with it.
    #[error("{context}")]
    In {
        context: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Document(#[from] DocumentError),
}

pub type Result<T> = result::Result<T, ReportError>;

/// Adds context to an error: the file, or what was expected there.
pub(crate) trait Context<T> {
    fn with_context(self, context: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Error + Send + Sync + 'static> Context<T> for result::Result<T, E> {
    fn with_context(self, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| ReportError::In { context: context(), source: Box::new(error) })
    }
}

impl<T> Context<T> for Option<T> {
    fn with_context(self, context: impl FnOnce() -> String) -> Result<T> {
        self.ok_or_else(|| ReportError::Unusable(context()))
    }
}
