//! Tasks in the format of lm-evaluation-harness: questions, datasets, and metrics.
//!
//! A task is independent of models and tokens: it writes questions as text, and scores the answers.
//! Its prompts, few-shot samples and metrics are those of lm-evaluation-harness 0.4.13, so that
//! results are comparable; `docs/tasks.md` lists the limits.

mod builtin;
pub mod dataset;
pub mod definition;
mod error;
pub mod filter;
pub mod functions;
mod groups;
mod judge;
pub mod output;
mod own;
mod prompt;
pub mod python;
mod registry;
mod score;
mod shots;
mod statistics;
mod task;
mod template;
mod writer;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use dataset::Roots;
pub use definition::{Definition, Kind};
pub use error::{Result, TaskError};
pub use groups::{GroupMeasure, TaskGroup};
pub use python::Value;
pub use score::{Measure, Record, TaskScore};
pub use task::{Asked, Limit, Sample, Task};

use error::ensure;
use registry::{Chosen, Registry};
use task::Preparing;

/// Which tasks, and their options.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names, patterns with `*`, paths of `.yaml` tasks, and of `.jsonl` questions.
    pub tasks: Vec<String>,
    /// Folders with tasks that can be named.
    pub include_paths: Vec<PathBuf>,
    /// Folders with datasets.
    pub data_folders: Vec<PathBuf>,
    /// The Hub cache, which is searched after them.
    pub hub_cache: Option<PathBuf>,
    /// Number of few-shot examples, except for tasks that fix it at 0.
    pub n_shots: Option<usize>,
    pub limit: Option<Limit>,
    /// Seed for sampling few-shot examples.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        let (tasks, include_paths, data_folders) = (Vec::new(), Vec::new(), Vec::new());
        // The default of lm-evaluation-harness.
        Self {
            tasks,
            include_paths,
            data_folders,
            hub_cache: None,
            n_shots: None,
            limit: None,
            seed: 1234,
        }
    }
}

/// The tasks that were asked for, and the groups that they are in.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    pub tasks: Vec<Task>,
    pub groups: Vec<TaskGroup>,
}

impl<'a> IntoIterator for &'a Tasks {
    type Item = &'a Task;
    type IntoIter = std::slice::Iter<'a, Task>;

    fn into_iter(self) -> Self::IntoIter {
        self.tasks.iter()
    }
}

/// Finds tasks and their datasets, and writes the questions.
///
/// # Errors
/// When a task or dataset does not exist, or a task has a key that is not implemented.
pub fn load(options: &Options) -> Result<Tasks> {
    let is_own = |name: &&String| {
        Path::new(name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("jsonl"))
    };
    let (own, named): (Vec<&String>, Vec<&String>) = options.tasks.iter().partition(is_own);
    let own: Vec<&Path> = own.into_iter().map(Path::new).collect();
    let mut tasks = own::read(&own, options.limit)?;
    let mut chosen = Chosen::default();
    if !named.is_empty() {
        let registry = Registry::new(&options.include_paths)?;
        for name in named {
            registry.choose(name, &mut chosen)?;
        }
    }
    let groups = groups_of(&chosen);
    let roots = Roots { folders: options.data_folders.clone(), cache: options.hub_cache.clone() };
    let preparing = Preparing {
        roots: &roots,
        n_shots: options.n_shots,
        limit: options.limit,
        seed: options.seed,
    };
    for definition in chosen.tasks {
        let is_new = tasks.iter().all(|task| task.name() != definition.name);
        ensure!(is_new, "two tasks are called {:?}; give only one of them", definition.name);
        tasks.push(Task::new(definition, &preparing)?);
    }
    Ok(Tasks { tasks, groups })
}

fn groups_of(chosen: &Chosen) -> Vec<TaskGroup> {
    let children = |name: &str| {
        let found = chosen.groups.iter().find(|(group, _)| group.name == name);
        found.map(|(_, children)| children)
    };
    let of_group = |(group, own): &(definition::Group, Vec<String>)| {
        let (mut tasks, mut seen) = (Vec::new(), BTreeSet::new());
        let mut open: Vec<&String> = own.iter().rev().collect();
        while let Some(name) = open.pop() {
            // A group may be in two others, or even contain itself.
            match children(name) {
                _ if !seen.insert(name) => {}
                Some(inner) => open.extend(inner.iter().rev()),
                None => tasks.push(name.clone()),
            }
        }
        TaskGroup { group: group.clone(), children: own.clone(), tasks }
    };
    chosen.groups.iter().map(of_group).collect()
}
