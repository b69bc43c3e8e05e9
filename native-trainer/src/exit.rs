//! The exit code of a command, and its error sentence.
//!
//! Scripts and batch systems read the code: try again, free some space, or give up. `lib.rs`
//! prints.

use std::fmt;
use std::io::{self, ErrorKind};

use anyhow::anyhow;
use boomerang_core::checkpoint::CheckpointError;
use boomerang_core::config::ConfigError;
use boomerang_core::documents::DocumentError;
use boomerang_core::evaluate::{EncodeError, ReadBackError};
use boomerang_core::gguf::GgufError;
use boomerang_core::plan::PlanError;
use boomerang_core::prune::{FamilyError, StudentConfigError};
use boomerang_core::search::SearchError;
use boomerang_core::tokenizer::TokenizerError;
use boomerang_files::FileError;
use boomerang_hub::HubError;
use boomerang_lm_tasks::TaskError;
use boomerang_report::ReportError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Success,
    /// Any failure without a code of its own.
    Failed,
    /// Invalid arguments, or settings that do not match the run.
    Usage,
    /// A model or data is missing, damaged, or of a kind that is not supported.
    Unusable,
    OutOfMemory,
    /// No space, no quota, or a read-only file system.
    Disk,
    /// The loss is NaN or infinite.
    Diverged,
    /// The Hub cannot be reached, or does not serve what was asked for.
    Network,
    VerificationFailed,
    /// The time limit was reached; the run can be resumed.
    TimeLimit,
    Interrupted,
}

/// An error with an exit code.
///
/// It displays as the error inside; [`code_of`] finds the code.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Exit {
    /// The number for the operating system.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unusable => 3,
            Self::OutOfMemory => 4,
            Self::Disk => 5,
            Self::Diverged => 6,
            Self::Network => 7,
            Self::VerificationFailed => 8,
            Self::TimeLimit => 75,
            Self::Interrupted => 130,
        }
    }

    /// An error of this kind with a sentence of its own.
    pub fn error(self, message: impl Into<String>) -> anyhow::Error {
        Failure { exit: self, error: anyhow!(message.into()) }.into()
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Attaches an exit code to an error.
pub trait OrExit<T> {
    /// # Errors
    /// The same error, with `exit` as its code, unless memory is short; its sentence is unchanged.
    fn or_exit(self, exit: Exit) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            let is_short = code_of(&error) == Exit::OutOfMemory;
            Failure { exit: if is_short { Exit::OutOfMemory } else { exit }, error }.into()
        })
    }
}

/// The exit of a command's outcome.
pub fn status(outcome: &anyhow::Result<()>) -> Exit {
    outcome.as_ref().map_or_else(code_of, |()| Exit::Success)
}

/// The code of an error: the one attached to it, else that of its type.
pub fn code_of(error: &anyhow::Error) -> Exit {
    let given = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    given
        .map(|failure| failure.exit)
        .or_else(|| error.chain().find_map(by_type))
        .or_else(|| error.chain().find_map(by_crate))
        .unwrap_or(Exit::Failed)
}

fn by_type(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        // An error inside of an I/O error is not among its causes.
        let inner = error.get_ref().and_then(|inner| by_type(inner));
        return inner.or_else(|| by_kind(error.kind()));
    }
    // What was written is good, and the disk is not.
    if let (Some(CheckpointError::Output(error)), _)
    | (_, Some(GgufError::Checkpoint(CheckpointError::Output(error)))) =
        (cause.downcast_ref(), cause.downcast_ref())
    {
        return by_type(error);
    }
    let by_library = match (
        cause.downcast_ref::<FileError>(),
        cause.downcast_ref::<HubError>(),
        cause.downcast_ref::<TaskError>(),
        cause.downcast_ref::<ReportError>(),
    ) {
        (Some(FileError::Refused(_)), ..)
        | (_, Some(HubError::Settings(_)), ..)
        | (.., Some(TaskError::Unknown(_)), _)
        | (.., Some(ReportError::Unknown(_))) => Some(Exit::Usage),
        (Some(FileError::Unusable(_)), ..)
        | (_, Some(HubError::Incomplete(_)), ..)
        | (.., Some(TaskError::Unusable(_)), _)
        | (.., Some(ReportError::Unusable(_))) => Some(Exit::Unusable),
        (_, Some(HubError::Network(_)), ..) => Some(Exit::Network),
        _ => None,
    };
    if by_library.is_some() {
        return by_library;
    }
    let is_too_large = matches!(cause.downcast_ref(), Some(SearchError::TooLarge { .. }));
    if is_too_large || cause.is::<PlanError>() {
        return Some(Exit::Usage);
    }
    let unusable = cause.is::<CheckpointError>()
        || cause.is::<ConfigError>()
        || cause.is::<DocumentError>()
        || cause.is::<EncodeError>()
        || cause.is::<FamilyError>()
        || cause.is::<GgufError>()
        || cause.is::<StudentConfigError>()
        || cause.is::<TokenizerError>()
        || matches!(cause.downcast_ref(), Some(ReadBackError::NotFinite { .. }));
    unusable.then_some(Exit::Unusable)
}

/// For errors that no cause explains better: the input of a task or a report is unusable.
fn by_crate(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    (cause.is::<TaskError>() || cause.is::<ReportError>()).then_some(Exit::Unusable)
}

fn by_kind(kind: ErrorKind) -> Option<Exit> {
    match kind {
        ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::FileTooLarge
        | ErrorKind::ReadOnlyFilesystem => Some(Exit::Disk),
        ErrorKind::OutOfMemory => Some(Exit::OutOfMemory),
        ErrorKind::Interrupted => Some(Exit::Interrupted),
        _ => None,
    }
}

/// The error and its causes as one sentence.
///
/// A cause that the message before it already quotes is not repeated.
pub fn describe(error: &anyhow::Error) -> String {
    let mut messages = Vec::<String>::new();
    for message in error.chain().map(ToString::to_string) {
        if !messages.last().is_some_and(|previous| previous.contains(&message)) {
            messages.push(message);
        }
    }
    messages.join(": ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn storage_full() -> io::Error {
        ErrorKind::StorageFull.into()
    }

    #[test]
    fn a_full_disk_is_recognized_where_weights_are_written() {
        let checkpoint = || CheckpointError::Output(storage_full());
        assert_eq!(code_of(&checkpoint().into()), Exit::Disk);
        let gguf = anyhow::Error::new(GgufError::from(checkpoint())).context("widening");
        assert_eq!(code_of(&gguf), Exit::Disk);
    }

    #[test]
    fn a_full_disk_is_recognized_below_the_context() {
        let error = anyhow::Error::new(storage_full()).context("writing a.json").context("saving");
        assert_eq!(code_of(&error), Exit::Disk);
    }

    #[test]
    fn a_given_code_is_found_below_the_context() {
        let error: anyhow::Result<()> = Err(storage_full()).or_exit(Exit::VerificationFailed);
        let error = error.context("verifying").unwrap_err();
        assert_eq!(code_of(&error), Exit::VerificationFailed);
    }

    #[test]
    fn attaching_a_code_changes_no_word() {
        let plain = anyhow::Error::new(storage_full()).context("writing a.json");
        let sentence = describe(&plain);
        let given = Err::<(), _>(plain).or_exit(Exit::Usage).unwrap_err();
        assert_eq!(describe(&given), sentence);
    }

    #[test]
    fn a_broken_plan_is_a_wrong_argument_and_a_broken_config_a_wrong_model() {
        assert_eq!(code_of(&PlanError::NothingKept.into()), Exit::Usage);
        assert_eq!(code_of(&ConfigError::Missing { key: "model_type" }.into()), Exit::Unusable);
    }

    #[test]
    fn a_plan_that_a_file_holds_is_the_files_fault() {
        let error = StudentConfigError::from(PlanError::NothingKept);
        assert_eq!(code_of(&error.into()), Exit::Unusable);
    }

    #[test]
    fn a_tensor_that_a_writer_refused_is_the_models_fault() {
        let error = CheckpointError::NotFinite { name: "t".into(), n_not_finite: 1, n_values: 2 };
        let error = anyhow::Error::new(io::Error::other(error)).context("writing m");
        assert_eq!(code_of(&error), Exit::Unusable);
    }

    #[test]
    fn an_unknown_error_ends_with_1() {
        assert_eq!(code_of(&anyhow!("what?")).code(), 1);
    }

    #[test]
    fn a_quoted_cause_is_printed_once() {
        let error = anyhow!("not a number").context("line 3: not a number").context("reading x");
        assert_eq!(describe(&error), "reading x: line 3: not a number");
    }
}
