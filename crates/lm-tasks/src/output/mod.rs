//! Results and samples in the files of lm-evaluation-harness, which other programs read.

mod results;
mod samples;

use std::fs;

use super::groups::TaskGroup;
use super::python::{self, Value};
use super::score::TaskScore;
use super::task::{Limit, Task};
use crate::error::{Context as _, Result};
use boomerang_files::OutputFolder;
use results::results;
use samples::{Hashes, hash, line};

/// Facts about the run that the files record besides its scores.
#[derive(Clone, Debug)]
pub struct RunContext<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// Part of the file names: `2026-11-27T08-00-00.000000`.
    pub time: &'a str,
    /// Start of the run, in seconds since 1970.
    pub date: f64,
    /// How long it took.
    pub seconds: f64,
    pub device: &'a str,
    pub limit: Option<Limit>,
    /// Context length in tokens.
    pub max_length: usize,
    /// Seed for sampling few-shot examples.
    pub seed: u64,
}

/// Writes `results_TIME.json`, and `samples_TASK_TIME.jsonl` of each task, to a folder of the
/// output.
///
/// # Errors
/// When a file cannot be written.
pub fn write(
    out: &OutputFolder,
    folder: &str,
    scored: &[(&Task, &TaskScore)],
    groups: &[TaskGroup],
    context: &RunContext<'_>,
) -> Result<()> {
    fs::create_dir_all(out.path().join(folder)).with_context(|| {
        format!("the folder {folder} cannot be created in {}", out.target().display())
    })?;
    let mut hashes = Value::Map(Vec::new());
    for (task, score) in scored {
        let (mut lines, mut all) = (String::new(), String::new());
        for record in &score.records {
            let sample = &task.samples[record.sample];
            let own = Hashes::new(sample);
            all += &own.0.concat();
            lines += &python::json(&line(&task.definition, sample, record, &own), None);
            lines.push('\n');
        }
        hashes.set(task.name(), hash(&all).into());
        let name = format!("{folder}/samples_{}_{}.jsonl", file_name(task.name()), context.time);
        out.write(&name, lines.as_bytes())?;
    }
    let results = results(scored, groups, context, hashes);
    let name = format!("{folder}/results_{}.json", context.time);
    Ok(out.write(&name, format!("{}\n", python::json(&results, Some(2))).as_bytes())?)
}

/// A task's name as part of a file name.
fn file_name(task: &str) -> String {
    let plain = |char: char| {
        if char.is_alphanumeric() || matches!(char, '-' | '_' | '.') { char } else { '_' }
    };
    task.chars().map(plain).collect()
}
