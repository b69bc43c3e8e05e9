//! Runs other programs: their folder, their environment, and their exit code.
//!
//! Neither this program nor its child processes read standard input.

use std::env;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result};

/// The folders of every command.
///
/// Invariant: all of them are absolute.
pub(crate) struct Workspace {
    /// The top of the repository
    pub(crate) root: PathBuf,
    /// Build output of cargo and trunk
    pub(crate) target_dir: PathBuf,
    /// Tools for the page, installed by `cargo install`
    pub(crate) tools: PathBuf,
}

impl Workspace {
    /// Reads the folders from the environment that cargo starts this program with.
    pub(crate) fn find() -> Result<Self> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest_dir.parent().context("the folder xtask has no parent")?.to_owned();

        let cache = user_cache().unwrap_or_else(|| root.join("target")).join("boomerang");
        let target_dir = match set_variable("CARGO_TARGET_DIR") {
            Some(dir) => std::path::absolute(&dir)
                .with_context(|| format!("CARGO_TARGET_DIR is {}", dir.display()))?,
            None => cache.join("target"),
        };
        Ok(Self { root, target_dir, tools: cache.join("tools") })
    }

    /// The built page.
    pub(crate) fn site(&self) -> PathBuf {
        self.root.join("dist")
    }

    /// A built binary of this workspace.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target_dir.join("debug").join(name).with_extension(env::consts::EXE_EXTENSION)
    }

    /// As [`Workspace::binary`], with the release profile.
    pub(crate) fn release_binary(&self, name: &str) -> PathBuf {
        self.target_dir.join("release").join(name).with_extension(env::consts::EXE_EXTENSION)
    }

    /// The PATH with the installed tools before everything else.
    pub(crate) fn path(&self) -> OsString {
        prepend_path(&[self.tools.join("bin")])
    }

    /// `program`, to be run at the top of the repository.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target_dir);
        if plain_output() {
            command.env("CARGO_TERM_PROGRESS_WHEN", "never").env("CARGO_TERM_COLOR", "never");
        }
        command
    }

    /// The cargo that started this program.
    pub(crate) fn cargo(&self) -> Command {
        self.command(cargo())
    }
}

/// Shows the command and runs it.
///
/// # Errors
/// [`ChildFailed`] when it ends with another exit code than 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    println!("$ {shown}");
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("starting `{shown}`"))?;
    check(&shown, status)
}

/// The output of a short command; `None` when it cannot be run or fails.
pub(crate) fn answer(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// An error unless the child process succeeded.
pub(crate) fn check(shown: &str, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(ChildFailed { command: shown.to_owned(), status }.into())
}

/// A command as typed in a shell, without its environment.
pub(crate) fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = match program.file_stem() {
        Some(stem) if stem == "cargo" => Path::new("cargo"),
        _ => program,
    };
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    [name.display().to_string()].into_iter().chain(args).collect::<Vec<_>>().join(" ")
}

/// Prints the error with its causes; the exit code is the child's if a child failed, else 1.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    let code = error.downcast_ref::<ChildFailed>().and_then(|failed| failed.status.code());
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1).max(1))
}

/// A program that was started and failed.
#[derive(Debug)]
pub(crate) struct ChildFailed {
    command: String,
    status: ExitStatus,
}

impl fmt::Display for ChildFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` failed ({})", self.command, self.status)
    }
}

impl Error for ChildFailed {}

/// The cargo that started this program, or the one on the PATH.
pub(crate) fn cargo() -> OsString {
    set_variable("CARGO").map_or_else(|| "cargo".into(), PathBuf::into_os_string)
}

/// Finds `program` in the folders of `path`, in order.
pub(crate) fn find_program(program: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .map(|folder| folder.join(program).with_added_suffix())
        .find(|file| fs::metadata(file).is_ok_and(|meta| meta.is_file()))
}

/// The PATH with these folders before everything else.
pub(crate) fn prepend_path(folders: &[PathBuf]) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = folders.iter().cloned().chain(env::split_paths(&path));
    // A folder whose name has a separator in it cannot be on a PATH at all.
    env::join_paths(folders).unwrap_or(path)
}

/// A path in the environment, unless it is empty.
pub(crate) fn set_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Whether colors and progress bars are useless, as in CI.
pub(crate) fn plain_output() -> bool {
    set_variable("CI").is_some()
}

fn user_cache() -> Option<PathBuf> {
    if cfg!(windows) {
        return set_variable("LOCALAPPDATA");
    }
    let home = set_variable("HOME");
    if cfg!(target_os = "macos") {
        return home.map(|home| home.join("Library/Caches"));
    }
    set_variable("XDG_CACHE_HOME")
        .filter(|cache| cache.is_absolute())
        .or_else(|| home.map(|home| home.join(".cache")))
}

trait WithAddedSuffix {
    fn with_added_suffix(self) -> Self;
}

impl WithAddedSuffix for PathBuf {
    /// `.exe` on Windows, nothing elsewhere.
    fn with_added_suffix(mut self) -> Self {
        self.as_mut_os_string().push(env::consts::EXE_SUFFIX);
        self
    }
}
