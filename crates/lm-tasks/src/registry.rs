//! The tasks by name: built-in ones, and those in the user's folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::builtin;
use super::definition::{self, Definition, Group, glance};
use super::functions::Functions;
use super::python::{self, Value};
use crate::error::{Context as _, Result, TaskError, ensure};
use boomerang_files::note_input;

/// Tasks, groups and tags by their names.
pub(super) struct Registry {
    entries: BTreeMap<String, Origin>,
    /// Names of tasks by tag.
    tags: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Clone, Debug)]
enum Origin {
    Builtin(Value),
    File(PathBuf),
}

/// The selected tasks, in the order in which they were named.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) tasks: Vec<Definition>,
    /// With the names of the tasks and groups in each.
    pub(super) groups: Vec<(Group, Vec<String>)>,
}

/// Maximum nesting of groups, deeper than any real one.
const MAX_DEPTH: usize = 8;
const MAX_FOLDERS: usize = 8;

impl Registry {
    /// Later folders override earlier ones, and all of them built-in tasks.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub(super) fn new(folders: &[PathBuf]) -> Result<Self> {
        let mut registry = Self { entries: BTreeMap::new(), tags: BTreeMap::new() };
        for source in builtin::all()? {
            registry.insert(&source.clone(), Origin::Builtin(source));
        }
        for folder in folders {
            let mut files = Vec::new();
            yaml_files(folder, 0, &mut files)
                .with_context(|| format!("{} cannot be read", folder.display()))?;
            files.sort();
            for file in files {
                // A file that cannot be read is reported when it is used.
                if let Some(source) = glance(&file) {
                    registry.insert(&source, Origin::File(file));
                }
            }
        }
        Ok(registry)
    }

    fn insert(&mut self, source: &Value, origin: Origin) {
        let text = |key: &str| source.get(key).and_then(Value::as_str).map(str::to_owned);
        if let Some(group) = text("group") {
            self.entries.insert(group, origin);
            return;
        }
        let Some(task) = text("task") else { return };
        let tags = match source.get("tag") {
            Some(Value::List(tags)) => tags.iter().map(python::text).collect(),
            Some(tag) => vec![python::text(tag)],
            None => Vec::new(),
        };
        for tag in tags {
            self.tags.entry(tag).or_default().insert(task.clone());
        }
        self.entries.insert(task, origin);
    }

    /// Adds the tasks of a name, of a pattern with `*`, or of the path of a YAML file.
    ///
    /// # Errors
    /// When the task does not exist, or cannot be evaluated.
    pub(super) fn choose(&self, wanted: &str, chosen: &mut Chosen) -> Result<()> {
        let path = Path::new(wanted);
        let is_yaml =
            path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml {
            let source = definition::read(path)?;
            self.build(&source, Some(path), chosen, 0)
                .with_context(|| path.display().to_string())?;
            return Ok(());
        }
        if wanted.contains('*') {
            let names = self.entries.keys().chain(self.tags.keys());
            let names: BTreeSet<&String> = names.filter(|name| fits(wanted, name)).collect();
            if names.is_empty() {
                return Err(self.unknown(wanted));
            }
            for name in names {
                self.add(name, chosen, 0)?;
            }
            return Ok(());
        }
        self.add(wanted, chosen, 0).map(drop)
    }

    /// The names of the tasks, or of the group, behind a name.
    fn add(&self, name: &str, chosen: &mut Chosen, depth: usize) -> Result<Vec<String>> {
        ensure!(depth < MAX_DEPTH, "the group {name} contains itself");
        match (self.entries.get(name), self.tags.get(name)) {
            (Some(Origin::Builtin(source)), _) => self.build(source, None, chosen, depth),
            (Some(Origin::File(path)), _) => {
                let source = definition::read(path)?;
                self.build(&source, Some(path), chosen, depth)
                    .with_context(|| path.display().to_string())
            }
            (None, Some(tasks)) => {
                let mut names = Vec::new();
                for task in tasks {
                    names.extend(self.add(task, chosen, depth + 1)?);
                }
                Ok(names)
            }
            (None, None) => Err(self.unknown(name)),
        }
    }

    fn build(
        &self,
        source: &Value,
        path: Option<&Path>,
        chosen: &mut Chosen,
        depth: usize,
    ) -> Result<Vec<String>> {
        if source.get("group").is_some() {
            let group = Group::new(source.clone())?;
            let name = group.name.clone();
            if chosen.groups.iter().all(|(other, _)| other.name != name) {
                let index = chosen.groups.len();
                chosen.groups.push((group.clone(), Vec::new()));
                let mut children = Vec::new();
                for member in &group.members {
                    children.extend(self.add(member, chosen, depth + 1)?);
                }
                chosen.groups[index].1 = children;
            }
            return Ok(vec![name]);
        }
        let functions = match path {
            None => source.get("task").and_then(Value::as_str).map(builtin::functions),
            Some(_) => None,
        };
        let folder = path.map(|path| path.parent().unwrap_or(Path::new("")));
        let task =
            Definition::new(source.clone(), folder, functions.unwrap_or_else(Functions::default))?;
        let name = task.name.clone();
        if chosen.tasks.iter().all(|other| other.name != name) {
            chosen.tasks.push(task);
        }
        Ok(vec![name])
    }

    fn unknown(&self, name: &str) -> TaskError {
        let known = self.entries.keys().chain(self.tags.keys());
        let known = known.filter(|known| !known.starts_with("mmlu_"));
        let known: BTreeSet<&str> = known.map(String::as_str).collect();
        let known: Vec<&str> = known.into_iter().collect();
        TaskError::Unknown(format!(
            "unknown task {name:?}; expected {}, mmlu_SUBJECT, the path of a .yaml task or of \
             .jsonl questions, or a name below --include-path",
            known.join(", ")
        ))
    }
}

fn yaml_files(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    note_input(folder);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if depth < MAX_FOLDERS {
                yaml_files(&path, depth + 1, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether a name matches a pattern in which `*` matches anything.
fn fits(pattern: &str, name: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let Some(mut rest) = name.strip_prefix(parts[0]) else { return false };
    for part in &parts[1..parts.len() - 1] {
        let Some(index) = rest.find(part) else { return false };
        rest = &rest[index + part.len()..];
    }
    rest.ends_with(parts[parts.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: &[&str]) -> Result<(Vec<String>, Vec<String>)> {
        let registry = Registry::new(&[])?;
        let mut chosen = Chosen::default();
        for wanted in wanted {
            registry.choose(wanted, &mut chosen)?;
        }
        let tasks = chosen.tasks.into_iter().map(|task| task.name).collect();
        Ok((tasks, chosen.groups.into_iter().map(|(group, _)| group.name).collect()))
    }

    #[test]
    fn a_group_brings_its_tasks_and_groups() {
        let (tasks, groups) = names(&["mmlu"]).unwrap();
        assert_eq!(tasks.len(), 57);
        assert_eq!(
            groups,
            ["mmlu", "mmlu_stem", "mmlu_other", "mmlu_social_sciences", "mmlu_humanities"]
        );
    }

    #[test]
    fn tags_and_patterns_stand_for_tasks_and_each_is_asked_once() {
        assert_eq!(names(&["ai2_arc", "arc_*"]).unwrap().0, ["arc_challenge", "arc_easy"]);
        assert_eq!(
            names(&["mmlu_*_law"]).unwrap().0,
            ["mmlu_international_law", "mmlu_professional_law"]
        );
    }

    #[test]
    fn an_unknown_task_is_answered_with_those_there_are() {
        let error = names(&["arc_esay"]).unwrap_err().to_string();
        assert!(error.contains("\"arc_esay\"") && error.contains("arc_easy"), "{error}");
    }

    #[test]
    fn a_users_task_wins_over_one_of_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        let yaml = "task: piqa\ndataset_path: json\ntest_split: test\ntask_alias: mine\n";
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("sub/own.yaml"), yaml).unwrap();
        let registry = Registry::new(&[folder.path().to_owned()]).unwrap();
        let mut chosen = Chosen::default();
        registry.choose("piqa", &mut chosen).unwrap();
        assert_eq!(chosen.tasks[0].alias.as_deref(), Some("mine"));
    }
}
