//! The checkpoints of a run, and the metrics that belong to them.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use boomerang_core::bundle::hex;
use boomerang_core::checkpoint::CheckpointError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{CHECKPOINTS, KEPT_CHECKPOINTS, METRICS, RunFolder, Saved, Snapshot, State};
use crate::exit::{Exit, OrExit as _, describe};
use crate::files::{self, Mapped, OutputFolder, Overwrite, write_hashed};
use crate::progress::note;

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";

/// What a checkpoint consists of.
pub(super) const FILES: [&str; 4] = [MODEL, OPTIMIZER, METRICS, STATE];

/// `state.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct StateFile {
    #[serde(flatten)]
    pub(super) state: State,
    /// Of the files beside it; runs of earlier versions have none.
    #[serde(default)]
    sha256: BTreeMap<String, String>,
}

impl RunFolder {
    /// Saves a checkpoint, then removes old ones.
    ///
    /// # Errors
    /// When a value is not finite or a file cannot be written; older checkpoints are untouched then.
    pub fn save(&self, state: State, snapshot: &dyn Snapshot) -> anyhow::Result<PathBuf> {
        let target = self.checkpoint_of(state.step);
        let folder = OutputFolder::create(&target, true)?;
        let model = write_part(&folder, MODEL, |out| snapshot.write_model(out))?;
        let optimizer = write_part(&folder, OPTIMIZER, |out| snapshot.write_optimizer(out))?;
        // A metrics file that is damaged later is restored from here.
        let metrics = match fs::read(self.path.join(METRICS)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            outcome => outcome.with_context(|| format!("reading {METRICS}"))?,
        };
        folder.write(METRICS, &metrics)?;
        let hashes = [(MODEL, model), (OPTIMIZER, optimizer), (METRICS, sha256(&metrics))];
        let sha256 = hashes.map(|(name, hash)| (name.to_owned(), hash)).into();
        let state = StateFile { state, sha256 };
        folder.write(STATE, format!("{}\n", serde_json::to_string(&state)?).as_bytes())?;
        folder.commit()?;
        let names = self.checkpoint_names();
        for old in names.iter().rev().skip(KEPT_CHECKPOINTS) {
            // One with files of somebody else is kept.
            let _ = files::remove_output(&self.checkpoints().join(old));
        }
        Ok(target)
    }

    /// The newest intact checkpoint; reports damaged ones after it. `None` when the run was stopped
    /// before its first.
    ///
    /// # Errors
    /// When there are checkpoints and none of them is intact.
    pub fn newest(&self) -> anyhow::Result<Option<Saved>> {
        Self::newest_in(&self.path)
    }

    /// [`RunFolder::newest`] of a run that another process writes.
    ///
    /// # Errors
    /// As [`RunFolder::newest`].
    pub fn newest_in(run: &Path) -> anyhow::Result<Option<Saved>> {
        let mut damages = Vec::new();
        for name in checkpoint_names(run).iter().rev() {
            match read_checkpoint(&run.join(CHECKPOINTS).join(name)) {
                Ok(saved) => {
                    for damage in &damages {
                        note(&format!("{damage}: ignored; resuming from {name}, which is intact"));
                    }
                    return Ok(Some(saved));
                }
                Err(error) => damages.push(describe(&error)),
            }
        }
        if damages.is_empty() {
            return Ok(None);
        }
        Err(Exit::Unusable.error(format!(
            "all checkpoints of the run are damaged ({}); start over with --force",
            damages.join("; ")
        )))
    }

    /// The step of the newest checkpoint, intact or not.
    pub fn newest_step(&self) -> Option<usize> {
        self.checkpoint_names().pop()?.strip_prefix("step-")?.parse().ok()
    }

    /// The metrics file, ready for the line of the step after `n_steps`, which is 0 or that of a
    /// checkpoint.
    ///
    /// Lines of steps after the checkpoint, which are repeated, are dropped; lines that are missing
    /// or damaged are restored from the checkpoint.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn metrics(&self, n_steps: usize) -> anyhow::Result<File> {
        let path = self.path.join(METRICS);
        let of_checkpoint = self.checkpoint_of(n_steps).join(METRICS);
        let mut lines = BTreeMap::new();
        for source in [&of_checkpoint, &path] {
            let bytes = fs::read(source).unwrap_or_default();
            for line in String::from_utf8_lossy(&bytes).lines() {
                let step = serde_json::from_str::<Value>(line).ok();
                let step = step.and_then(|line| line.get("step").and_then(Value::as_u64));
                if let Some(step) = step.filter(|&step| step <= n_steps as u64) {
                    lines.entry(step).or_insert_with(|| line.to_owned());
                }
            }
        }
        let text: String = lines.values().flat_map(|line| [line, "\n"]).collect();
        files::write_atomic(&path, text.as_bytes(), Overwrite::Allowed)?;
        OpenOptions::new()
            .append(true)
            .open(&path)
            .with_context(|| format!("writing {}", path.display()))
    }

    pub(super) fn checkpoint_of(&self, step: usize) -> PathBuf {
        self.checkpoints().join(format!("step-{step:06}"))
    }

    /// Names of whole checkpoints, oldest first.
    pub(super) fn checkpoint_names(&self) -> Vec<String> {
        checkpoint_names(&self.path)
    }
}

fn checkpoint_names(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run.join(CHECKPOINTS)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.strip_prefix("step-").is_some_and(|step| step.parse::<u64>().is_ok()))
        .collect();
    names.sort();
    names
}

pub(super) fn read_state(folder: &Path) -> anyhow::Result<StateFile> {
    let path = folder.join(STATE);
    serde_json::from_str(&files::read_own_text(&path)?).with_context(|| path.display().to_string())
}

pub(super) fn read_checkpoint(folder: &Path) -> anyhow::Result<Saved> {
    let file = read_state(folder)?;
    let read = |name: &str| -> anyhow::Result<Mapped> {
        let path = folder.join(name);
        let bytes = files::map_own(&path)?;
        let expected = file.sha256.get(name);
        if expected.is_some_and(|expected| *expected != sha256(&bytes)) {
            bail!("{} is damaged: its SHA-256 differs from that in {STATE}", path.display());
        }
        Ok(bytes)
    };
    let metrics = match file.sha256.is_empty() {
        true => String::new(),
        false => String::from_utf8_lossy(&read(METRICS)?).into_owned(),
    };
    let (model, optimizer) = (read(MODEL)?, read(OPTIMIZER)?);
    Ok(Saved { state: file.state, model, optimizer, metrics })
}

/// Appends one line.
///
/// # Errors
/// When the disk is full.
pub fn append_line(file: &mut File, value: &Value) -> anyhow::Result<()> {
    writeln!(file, "{value}").context("writing metrics.jsonl").or_exit(Exit::Disk)
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Writes a file of a checkpoint; returns its SHA-256.
fn write_part(
    folder: &OutputFolder,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> Result<(), CheckpointError>,
) -> anyhow::Result<String> {
    // What training has made is refused for one reason: it diverged.
    write_hashed(folder, name, write).or_else(|error| match error.is::<CheckpointError>() {
        true => Err(error).or_exit(Exit::Diverged),
        false => Err(error),
    })
}
