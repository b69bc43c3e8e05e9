//! Why a task cannot be evaluated.

use std::error::Error;
use std::fmt;
use std::result;

/// Why a task cannot be evaluated. `{:#}` shows the causes as well.
#[derive(Debug)]
pub enum TaskError {
    /// No task has the name that was asked for.
    Unknown(String),
    /// A definition, a dataset or an answer is invalid.
    Unusable(String),
    /// What was being done when something failed.
    Failed { context: String, source: Box<dyn Error + Send + Sync> },
    /// What a parser, a template or the system reported.
    Other(Box<dyn Error + Send + Sync>),
}

pub type Result<T, E = TaskError> = result::Result<T, E>;

impl fmt::Display for TaskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(message) | Self::Unusable(message) => formatter.write_str(message)?,
            Self::Failed { context, .. } => formatter.write_str(context)?,
            Self::Other(error) => write!(formatter, "{error}")?,
        }
        if formatter.alternate() {
            let mut cause = self.source();
            while let Some(error) = cause {
                write!(formatter, ": {error}")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unknown(_) | Self::Unusable(_) => None,
            Self::Failed { source, .. } => Some(&**source),
            Self::Other(error) => error.source(),
        }
    }
}

macro_rules! from {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for TaskError {
            fn from(error: $error) -> Self {
                Self::Other(Box::new(error))
            }
        })+
    };
}

from!(
    boomerang_core::documents::DocumentError,
    boomerang_files::FileError,
    minijinja::Error,
    parquet::errors::ParquetError,
    serde_json::Error,
    serde_yaml_ng::Error,
    std::io::Error,
    std::num::ParseIntError,
    std::num::TryFromIntError,
);

/// Adds context to an error, or makes one of a missing value.
pub(crate) trait Context<T> {
    fn context(self, context: impl fmt::Display) -> Result<T>;
    fn with_context<C: fmt::Display>(self, context: impl FnOnce() -> C) -> Result<T>;
}

impl<T, E: Error + Send + Sync + 'static> Context<T> for result::Result<T, E> {
    fn context(self, context: impl fmt::Display) -> Result<T> {
        self.with_context(|| context)
    }

    fn with_context<C: fmt::Display>(self, context: impl FnOnce() -> C) -> Result<T> {
        self.map_err(|error| TaskError::Failed {
            context: context().to_string(),
            source: Box::new(error),
        })
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, context: impl fmt::Display) -> Result<T> {
        self.with_context(|| context)
    }

    fn with_context<C: fmt::Display>(self, context: impl FnOnce() -> C) -> Result<T> {
        self.ok_or_else(|| TaskError::Unusable(context().to_string()))
    }
}

/// An error from a sentence.
macro_rules! unusable {
    ($($message:tt)+) => { $crate::error::TaskError::Unusable(format!($($message)+)) };
}

/// Returns an error.
macro_rules! bail {
    ($($message:tt)+) => { return Err($crate::error::unusable!($($message)+)) };
}

/// Returns an error unless something holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            $crate::error::bail!($($message)+);
        }
    };
}

pub(crate) use {bail, ensure, unusable};
