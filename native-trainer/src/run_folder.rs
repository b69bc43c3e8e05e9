//! The files of one run, in a folder that survives being killed at any moment.
//!
//! ```text
//! settings.json            everything that decides the result
//! metrics.jsonl            one line a step
//! checkpoints/step-000050/ model.safetensors, optimizer.burnpack, state.json
//! student/                 the finished student, a Hugging Face folder
//! ```
//!
//! A checkpoint is written under a temporary name and renamed, so that the newest one is whole.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exit::{Exit, OrExit as _};
use crate::files::{self, OutputFolder, Overwrite};

/// A folder of one training run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

/// Where training stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub step: usize,
    /// Tokens seen so far, without padding.
    pub n_tokens: usize,
}

/// Everything that is needed to go on.
pub struct Saved {
    pub state: State,
    /// Weights, f32 safetensors.
    pub model: Vec<u8>,
    pub optimizer: Vec<u8>,
}

const SETTINGS: &str = "settings.json";
const METRICS: &str = "metrics.jsonl";
/// How many checkpoints are kept: the newest may be the one that is damaged by a failing disk.
const KEPT_CHECKPOINTS: usize = 2;

impl RunFolder {
    /// A new run; its settings are written at once.
    ///
    /// # Errors
    /// When there is a run already and `force` is off.
    pub fn create(path: &Path, settings: &Value, force: bool) -> anyhow::Result<Self> {
        let run = Self { path: path.to_owned() };
        let is_used = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if is_used && !force {
            let hint = if run.path.join(SETTINGS).exists() {
                "add --resume to go on with this run, or --force to begin again"
            } else {
                "choose another folder, or add --force"
            };
            return Err(anyhow::anyhow!("{} is not empty: {hint}", path.display()))
                .or_exit(Exit::Usage);
        }
        if run.path.join(SETTINGS).exists() {
            // Only what a run wrote; a folder that holds other things keeps them.
            for part in ["checkpoints", "student"] {
                let _ = fs::remove_dir_all(run.path.join(part));
            }
            let _ = fs::remove_file(run.path.join(METRICS));
        }
        fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
        let text = format!("{settings:#}\n");
        files::write_atomic(&run.path.join(SETTINGS), text.as_bytes(), Overwrite::Allowed)?;
        Ok(run)
    }

    /// A run to go on with. The settings have to be the same, or the result would be neither run's.
    ///
    /// # Errors
    /// When there is no run, or its settings differ: names the first that does.
    pub fn resume(path: &Path, settings: &Value) -> anyhow::Result<Self> {
        let run = Self { path: path.to_owned() };
        let text = files::read_text(&run.path.join(SETTINGS))
            .with_context(|| format!("there is no run to resume in {}", path.display()))
            .or_exit(Exit::Usage)?;
        let stored: Value = serde_json::from_str(&text)
            .with_context(|| format!("{}", run.path.join(SETTINGS).display()))?;
        if let Some((key, then, now)) = difference("", &stored, settings) {
            return Err(anyhow::anyhow!(
                "the run in {} was started with {key} = {then}, this command says {now}: resume \
                 with the same settings, or begin a new run elsewhere",
                path.display()
            ))
            .or_exit(Exit::Usage);
        }
        Ok(run)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the finished student goes.
    pub fn student(&self) -> PathBuf {
        self.path.join("student")
    }

    /// Whether the file `name` was put there by hand; removes it.
    pub fn take_signal(&self, name: &str) -> bool {
        fs::remove_file(self.path.join(name)).is_ok()
    }

    /// Saves where training stands, then lets go of old checkpoints.
    ///
    /// # Errors
    /// When the disk refuses; older checkpoints are untouched then.
    pub fn save(&self, saved: &Saved) -> anyhow::Result<PathBuf> {
        let target = self.checkpoints().join(format!("step-{:06}", saved.state.step));
        let folder = OutputFolder::create(&target, true)?;
        folder.write("model.safetensors", &saved.model)?;
        folder.write("optimizer.burnpack", &saved.optimizer)?;
        folder.write(
            "state.json",
            format!("{}\n", serde_json::to_string(&saved.state)?).as_bytes(),
        )?;
        folder.commit()?;
        let names = self.checkpoint_names();
        for old in names.iter().rev().skip(KEPT_CHECKPOINTS) {
            let _ = fs::remove_dir_all(self.checkpoints().join(old));
        }
        Ok(target)
    }

    /// The newest checkpoint; `None` when the run was stopped before its first.
    ///
    /// # Errors
    /// When a checkpoint cannot be read.
    pub fn newest(&self) -> anyhow::Result<Option<Saved>> {
        let Some(name) = self.checkpoint_names().pop() else { return Ok(None) };
        let folder = self.checkpoints().join(name);
        let state = files::read_text(&folder.join("state.json"))?;
        let state = serde_json::from_str(&state)
            .with_context(|| format!("{}", folder.join("state.json").display()))
            .or_exit(Exit::Unusable)?;
        Ok(Some(Saved {
            state,
            model: files::read(&folder.join("model.safetensors"))?,
            optimizer: files::read(&folder.join("optimizer.burnpack"))?,
        }))
    }

    /// The metrics file, ready for the line of the step after `n_steps`.
    ///
    /// Lines of steps that were taken after the checkpoint and are now taken again are dropped.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn metrics(&self, n_steps: usize) -> anyhow::Result<File> {
        let path = self.path.join(METRICS);
        if let Ok(text) = fs::read_to_string(&path) {
            let is_kept = |line: &&str| {
                let step = serde_json::from_str::<Value>(line).ok();
                let step = step.and_then(|line| line.get("step").and_then(Value::as_u64));
                step.is_some_and(|step| step <= n_steps as u64)
            };
            let kept: String = text.lines().filter(is_kept).flat_map(|line| [line, "\n"]).collect();
            files::write_atomic(&path, kept.as_bytes(), Overwrite::Allowed)?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("writing {}", path.display()))
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Names of whole checkpoints, oldest first.
    fn checkpoint_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.checkpoints()).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| {
                name.strip_prefix("step-").is_some_and(|step| step.parse::<u64>().is_ok())
            })
            .collect();
        names.sort();
        names
    }
}

/// Appends one line.
///
/// # Errors
/// When the disk is full.
pub fn append_line(file: &mut File, value: &Value) -> anyhow::Result<()> {
    writeln!(file, "{value}").context("writing metrics.jsonl").or_exit(Exit::Disk)
}

/// The first place at which two settings differ: key, stored, asked for.
fn difference(key: &str, stored: &Value, asked: &Value) -> Option<(String, String, String)> {
    match (stored, asked) {
        (Value::Object(stored), Value::Object(asked)) => {
            let keys = stored.keys().chain(asked.keys());
            keys.into_iter().find_map(|name| {
                let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                let value = |map: &serde_json::Map<String, Value>| {
                    map.get(name).cloned().unwrap_or(Value::Null)
                };
                difference(&inner, &value(stored), &value(asked))
            })
        }
        _ if stored == asked => None,
        _ => Some((key.to_owned(), stored.to_string(), asked.to_string())),
    }
}

/// Refuses a number of steps or rows that would do nothing.
///
/// # Errors
/// When the number is 0.
pub fn at_least_one(what: &str, number: usize) -> anyhow::Result<()> {
    if number == 0 {
        bail!("{what} has to be at least 1");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_setting_that_differs_is_named() {
        let stored = serde_json::json!({"loss": {"kl": 0.1}, "steps": 5});
        let asked = serde_json::json!({"loss": {"kl": 0.2}, "steps": 5});
        let (key, then, now) = difference("", &stored, &asked).unwrap();
        assert_eq!((key.as_str(), then.as_str(), now.as_str()), ("loss.kl", "0.1", "0.2"));
        assert_eq!(difference("", &stored, &stored), None);
    }

    #[test]
    fn the_newest_checkpoint_is_found_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(folder.path(), &Value::Null, false).unwrap();
        for step in [5, 10, 15] {
            let state = State { step, n_tokens: 0 };
            run.save(&Saved { state, model: vec![1], optimizer: vec![2] }).unwrap();
        }
        assert_eq!(run.newest().unwrap().unwrap().state.step, 15);
        assert_eq!(run.checkpoint_names(), ["step-000010", "step-000015"]);
    }

    #[test]
    fn metrics_after_the_checkpoint_are_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(folder.path(), &Value::Null, false).unwrap();
        let mut file = run.metrics(0).unwrap();
        for step in 1..=3 {
            append_line(&mut file, &serde_json::json!({"step": step})).unwrap();
        }
        run.metrics(2).unwrap();
        let text = fs::read_to_string(folder.path().join(METRICS)).unwrap();
        assert_eq!(text, "{\"step\":1}\n{\"step\":2}\n");
    }
}
