//! The files of one run, in a folder that stays valid if the process is killed at any moment.
//!
//! ```text
//! settings.json            everything that decides the result
//! config.yaml              the flags of the last command, for `distill -c`
//! metrics.jsonl            one line per step
//! checkpoints/step-000050/ model.safetensors, optimizer.safetensors, metrics.jsonl, state.json
//! checkpoints/best/        the same of the best measurement, with `--keep-best`
//! student/                 the finished student, a Hugging Face folder
//! .lock                    held by the process that writes here
//! ```
//!
//! A checkpoint is written under a temporary name and renamed, so that the newest one is complete; its
//! hashes detect later damage.

mod best;
mod checkpoint;
mod lock;
mod settings;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use boomerang_core::bundle::hex;
use boomerang_core::checkpoint::CheckpointError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::exit::{Exit, OrExit as _};
use crate::files::{self, Mapped, Overwrite};
use crate::progress::note;
use crate::train::rollback::RolledBack;
pub use checkpoint::append_line;
use lock::{LOCK, RunLock};
pub use settings::{Difference, differences, schedule};

/// A folder of one training run, with the lock that makes this process its only writer.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: RunLock,
}

/// The progress of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub step: usize,
    /// Tokens seen so far, without padding.
    pub n_tokens: usize,
    #[serde(default, skip_serializing_if = "RolledBack::is_none")]
    pub rolled_back: RolledBack,
}

/// Everything that is needed to resume, from the files of a checkpoint.
pub struct Saved {
    pub state: State,
    /// Weights, f32 safetensors.
    pub model: Mapped,
    pub optimizer: Mapped,
    /// The lines of the steps before.
    pub metrics: String,
}

impl Saved {
    /// What all replicas have to agree on.
    pub fn fingerprint(&self) -> Value {
        let hashes = [&self.model, &self.optimizer].map(|bytes| hex(&Sha256::digest(&**bytes)));
        json!({ "checkpoint": { "state": self.state, "sha256": hashes } })
    }
}

/// What a checkpoint is written from.
pub trait Snapshot {
    /// Writes the weights, f32 safetensors.
    ///
    /// # Errors
    /// When a weight is not finite, or `out` cannot be written.
    fn write_model(&self, out: &mut dyn Write) -> Result<(), CheckpointError>;

    /// Writes the optimizer state, safetensors.
    ///
    /// # Errors
    /// As [`Snapshot::write_model`].
    fn write_optimizer(&self, out: &mut dyn Write) -> Result<(), CheckpointError>;
}

const SETTINGS: &str = "settings.json";
const CHECKPOINTS: &str = "checkpoints";
const CONFIG: &str = "config.yaml";
const METRICS: &str = "metrics.jsonl";
/// How many checkpoints are kept, as a failing disk may damage the newest.
const KEPT_CHECKPOINTS: usize = 2;

impl RunFolder {
    /// A new run, with its settings written. With `force`, an earlier run of Boomerang in this
    /// folder is removed first, and nothing else.
    ///
    /// # Errors
    /// When the folder is, contains or is inside of an input of the command, another process writes
    /// to it, or it contains something that may not be overwritten.
    pub fn create(path: &Path, settings: &Value, force: bool) -> anyhow::Result<Self> {
        let was_used = is_used(path);
        if was_used && !force {
            let hint = if path.join(SETTINGS).exists() {
                "add --resume to resume this run, or --force to start over"
            } else {
                "choose another folder"
            };
            return Err(anyhow::anyhow!("{} is not empty: {hint}", path.display()))
                .or_exit(Exit::Usage);
        }
        let run = Self::open(path, was_used)?;
        if was_used {
            run.remove_earlier()?;
        }
        run.write_settings(settings)?;
        Ok(run)
    }

    /// The settings of a run that is to be resumed.
    ///
    /// # Errors
    /// When there is no run, or its settings are damaged.
    pub fn stored_settings(path: &Path) -> anyhow::Result<Value> {
        let file = path.join(SETTINGS);
        let text = files::read_own_text(&file)
            .with_context(|| format!("{} has no run to resume", path.display()))
            .or_exit(Exit::Usage)?;
        serde_json::from_str(&text)
            .with_context(|| file.display().to_string())
            .or_exit(Exit::Unusable)
    }

    /// A run to resume. The settings must be the same, so that the result is reproducible, but for more
    /// steps; with `allow_other` the new ones are used, and the differences are reported.
    ///
    /// # Errors
    /// As [`RunFolder::create`]; when there is no run, its settings differ (names the first difference),
    /// or it has taken more steps than are asked for.
    pub fn resume(path: &Path, settings: &Value, allow_other: bool) -> anyhow::Result<Self> {
        let stored = Self::stored_settings(path)?;
        let run = Self::open(path, false)?;
        let n_taken = run.newest_step().unwrap_or(0);
        if let Some(asked) = schedule(settings).filter(|asked| asked.total_steps < n_taken) {
            return Err(Exit::Usage.error(format!(
                "--steps {} is less than the {n_taken} steps that the run in {} has taken; expected at \
                 least {n_taken}, or more to lengthen the run",
                asked.total_steps,
                path.display()
            )));
        }
        let differences = differences(&stored, settings);
        let is_lengthened = differences.iter().any(Difference::is_lengthening);
        let others: Vec<_> = differences.iter().filter(|other| !other.is_lengthening()).collect();
        match others.first() {
            None => {}
            Some(_) if allow_other => {
                for Difference { key, stored, asked } in &others {
                    note(&format!("resuming with {key} = {asked} instead of {stored}"));
                }
            }
            Some(Difference { key, stored, asked }) => {
                return Err(Exit::Usage.error(format!(
                    "the run in {} was started with {key} = {stored}, this command has {asked}: \
                     resume with the same settings, start a new run in another folder, or add \
                     --allow-mismatch to continue with the new settings",
                    path.display()
                )));
            }
        }
        if is_lengthened || !others.is_empty() {
            run.write_settings(settings)?;
        }
        Ok(run)
    }

    /// Takes the lock, marks the folder as ours, and removes leftovers of killed writers.
    fn open(path: &Path, must_be_ours: bool) -> anyhow::Result<Self> {
        files::refuse_inputs(path)?;
        if path.is_file() {
            return Err(Exit::Usage
                .error(format!("{} is a file; expected a folder to create", path.display())));
        }
        if must_be_ours {
            files::refuse_unmarked(path)?;
        }
        fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
        let run = Self { path: path.to_owned(), _lock: RunLock::take(path)? };
        files::clean(path);
        files::clean(&run.checkpoints());
        files::mark_as_ours(path)?;
        Ok(run)
    }

    /// Removes an earlier run, unless it has files that Boomerang did not write.
    fn remove_earlier(&self) -> anyhow::Result<()> {
        let names = self.checkpoint_names().into_iter().map(|name| self.checkpoints().join(name));
        let folders: Vec<PathBuf> =
            names.chain([self.checkpoints().join(best::BEST), self.student()]).collect();
        for folder in folders.iter().filter(|folder| folder.exists()) {
            files::refuse_foreign_folder(folder)?;
        }
        for folder in &folders {
            files::remove_output(folder)?;
        }
        // TensorBoard shows all files of a folder as one run.
        let events = self.tensorboard();
        for entry in fs::read_dir(&events).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("events.out.tfevents.") && name.contains(".boomerang.") {
                fs::remove_file(entry.path()).with_context(|| format!("removing {name}"))?;
            }
        }
        match fs::remove_file(self.path.join(METRICS)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {METRICS}"))
            }
            _ => Ok(()),
        }
    }

    /// Writes the flags of the command, to run it again with `-c`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_config(&self, yaml: &str) -> anyhow::Result<()> {
        let path = self.path.join(CONFIG);
        Ok(files::write_atomic(&path, yaml.as_bytes(), Overwrite::Allowed)?)
    }

    fn write_settings(&self, settings: &Value) -> anyhow::Result<()> {
        let text = format!("{settings:#}\n");
        Ok(files::write_atomic(&self.path.join(SETTINGS), text.as_bytes(), Overwrite::Allowed)?)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The metrics so far; empty where they cannot be read.
    pub fn metrics_text(&self) -> String {
        fs::read_to_string(self.path.join(METRICS)).unwrap_or_default()
    }

    /// Where event files go.
    pub fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    /// Where the finished student goes.
    pub fn student(&self) -> PathBuf {
        self.path.join("student")
    }

    /// Whether the user created the file `name`; removes it.
    pub fn take_signal(&self, name: &str) -> bool {
        fs::remove_file(self.path.join(name)).is_ok()
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }
}

/// Whether a folder holds more than the leftovers of an attempt to write there.
fn is_used(path: &Path) -> bool {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name != LOCK && !files::is_bookkeeping(&name))
}
