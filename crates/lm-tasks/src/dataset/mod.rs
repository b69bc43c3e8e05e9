//! The documents of a task, from local files.
//!
//! A dataset is searched in the user's folders and in the Hub cache; nothing is downloaded.

mod card;
mod columns;
mod folder;
mod pages;
mod parquet;
mod read;

use std::path::{Path, PathBuf};

use super::definition::DatasetKeys;
use super::python::{self, Value};
use crate::error::{Context as _, Result, TaskError, bail, ensure};

/// Where datasets are.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// Folders with a folder for each dataset, or the folder of a single one.
    pub folders: Vec<PathBuf>,
    /// The Hub cache.
    pub cache: Option<PathBuf>,
}

/// The records of a parquet file.
///
/// # Errors
/// When the file is damaged, or uses features that are not supported.
pub fn rows_of_table(path: &Path) -> Result<Vec<Value>> {
    parquet::documents(path)
}

/// A task's dataset, found.
#[derive(Debug)]
pub struct Dataset {
    origin: Origin,
    /// For messages.
    name: String,
}

#[derive(Debug)]
enum Origin {
    /// Files by split.
    Files(Vec<(String, Vec<PathBuf>)>),
    /// Folders that may contain it, and the selected configuration.
    Folders(Vec<PathBuf>, Option<String>),
}

impl Dataset {
    /// # Errors
    /// When it is not found, or a key is not implemented.
    pub fn find(keys: &DatasetKeys, roots: &Roots) -> Result<Self> {
        let name = match &keys.name {
            Some(name) => format!("{} ({name})", keys.path),
            None => keys.path.clone(),
        };
        match &*keys.path {
            "json" | "parquet" => Ok(Self { origin: Origin::Files(data_files(keys)?), name }),
            "csv" | "text" | "arrow" | "pandas" => bail!(
                "dataset_path is {:?}, which is not supported; expected json or parquet",
                keys.path
            ),
            _ => {
                check_options(&keys.options, &[])?;
                let folders = candidates(keys, roots);
                let found: Vec<PathBuf> =
                    folders.iter().filter(|path| path.is_dir()).cloned().collect();
                if found.is_empty() {
                    return Err(nowhere(&keys.path, &folders));
                }
                Ok(Self { origin: Origin::Folders(found, keys.name.clone()), name })
            }
        }
    }

    /// The documents of one split, such as `test`.
    ///
    /// # Errors
    /// When there is no file of it, or one cannot be read.
    pub fn split(&self, split: &str) -> Result<Vec<Value>> {
        let files = match &self.origin {
            Origin::Files(files) => {
                files.iter().find(|(name, _)| name == split).map(|(_, files)| files.clone())
            }
            Origin::Folders(folders, name) => {
                let mut found = None;
                for folder in folders {
                    found = found.or(folder::files(folder, name.as_deref(), split)?);
                }
                found
            }
        };
        let files = files.ok_or_else(|| {
            let searched = match &self.origin {
                Origin::Files(files) => {
                    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
                    format!("data_files has {}", names.join(", "))
                }
                Origin::Folders(folders, _) => format!("searched in {}", shown(folders)),
            };
            TaskError::Unusable(format!(
                "the dataset {} has no split {split:?}; {searched}",
                self.name
            ))
        })?;
        let mut documents = Vec::new();
        for file in &files {
            documents.extend(read::documents(file)?);
        }
        ensure!(!documents.is_empty(), "the split {split:?} of the dataset {} is empty", self.name);
        // JSON documents may lack columns that others have.
        Ok(columns::unify(documents))
    }
}

fn shown(folders: &[PathBuf]) -> String {
    folders.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn nowhere(path: &str, folders: &[PathBuf]) -> TaskError {
    TaskError::Unusable(format!(
        "the dataset {path} is not on this machine; searched {}; download it with `hf download \
         --repo-type dataset {path}`, or give its folder with --data-dir",
        shown(folders)
    ))
}

/// `data_files` of `dataset_kwargs`.
fn data_files(keys: &DatasetKeys) -> Result<Vec<(String, Vec<PathBuf>)>> {
    check_options(&keys.options, &["data_files"])?;
    let source = keys.options.get("data_files").filter(|files| !files.is_none());
    let source = source.with_context(|| {
        format!("dataset_path is {:?}, but dataset_kwargs has no data_files", keys.path)
    })?;
    let path = |name: &Value| {
        let path = PathBuf::from(python::text(name));
        // As in lm-evaluation-harness, relative to the current folder, else to the task's.
        match &keys.folder {
            Some(folder) if !path.exists() => folder.join(path),
            _ => path,
        }
    };
    let paths = |value: &Value| match value {
        Value::List(names) => names.iter().map(path).collect(),
        name => vec![path(name)],
    };
    Ok(match source {
        Value::Map(entries) => {
            entries.iter().map(|(split, value)| (split.clone(), paths(value))).collect()
        }
        value => vec![("train".to_owned(), paths(value))],
    })
}

fn check_options(options: &Value, known: &[&str]) -> Result<()> {
    let Value::Map(entries) = options else { return Ok(()) };
    // Dataset scripts are never run.
    let other = entries.iter().find(|(key, value)| {
        !known.contains(&&**key) && key != "trust_remote_code" && !value.is_none()
    });
    match other {
        Some((key, _)) => bail!("dataset_kwargs.{key} is not implemented"),
        None => Ok(()),
    }
}

/// Every folder that may contain the dataset, in order of preference.
fn candidates(keys: &DatasetKeys, roots: &Roots) -> Vec<PathBuf> {
    let path = &*keys.path;
    let last = path.rsplit('/').next().unwrap_or(path);
    let mut folders = Vec::new();
    for root in &roots.folders {
        folders.extend([root.join(path), root.join(path.replace('/', "--")), root.join(last)]);
        // The folder itself, if it has the dataset's name.
        if root.file_name().is_some_and(|name| name == last) {
            folders.push(root.clone());
        }
    }
    folders.push(PathBuf::from(path));
    folders.extend(keys.folder.as_ref().map(|folder| folder.join(path)));
    if let Some(cache) = &roots.cache {
        folders.extend(snapshots(&cache.join(format!("datasets--{}", path.replace('/', "--")))));
    }
    folders
}

/// The snapshots of a dataset in the Hub cache: that of its main branch first, then any.
fn snapshots(folder: &Path) -> Vec<PathBuf> {
    let all = folder.join("snapshots");
    let commit = |branch: &str| {
        let commit = std::fs::read_to_string(folder.join("refs").join(branch)).ok()?;
        let commit = commit.trim();
        let is_name = !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_name.then(|| all.join(commit))
    };
    let named = ["main", "refs/convert/parquet"].into_iter().filter_map(commit);
    let mut found: Vec<PathBuf> = named.collect();
    let mut others: Vec<PathBuf> =
        std::fs::read_dir(&all).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    others.sort();
    found.extend(others);
    if found.is_empty() {
        found.push(all.join("main"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(path: &str, options: Value) -> DatasetKeys {
        DatasetKeys { path: path.to_owned(), name: None, options, folder: None }
    }

    #[test]
    fn a_dataset_that_is_nowhere_is_answered_with_where_it_was_looked_for() {
        let roots = Roots { folders: vec!["/data".into()], cache: Some("/cache".into()) };
        let error = Dataset::find(&keys("a/b", Value::None), &roots).unwrap_err().to_string();
        assert!(error.contains("/data/a/b, /data/a--b, /data/b"), "{error}");
        assert!(error.contains("/cache/datasets--a--b/snapshots/main"), "{error}");
        assert!(error.contains("--data-dir"), "{error}");
    }

    #[test]
    fn files_are_named_by_the_task() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jsonl"), "{\"x\": 1}\n\n{\"y\": \"b\"}\n").unwrap();
        let files = Value::map([("test", "a.jsonl".into())]);
        let mut keys = keys("json", Value::map([("data_files", files)]));
        keys.folder = Some(folder.path().to_owned());
        let dataset = Dataset::find(&keys, &Roots::default()).unwrap();
        let expected = [
            Value::map([("x", Value::Int(1)), ("y", Value::None)]),
            Value::map([("x", Value::None), ("y", "b".into())]),
        ];
        assert_eq!(dataset.split("test").unwrap(), expected);
        let error = dataset.split("train").unwrap_err().to_string();
        assert!(error.contains("no split \"train\"; data_files has test"), "{error}");
    }

    #[test]
    fn the_cache_of_the_hub_is_looked_through() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("datasets--a--b");
        for (name, text) in [
            ("refs/main", "0123"),
            ("snapshots/0123/data/test.jsonl", "{\"x\": 1}"),
            ("snapshots/9999/data/test.jsonl", "{\"x\": 2}"),
        ] {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let roots = Roots { folders: Vec::new(), cache: Some(cache.path().to_owned()) };
        let dataset = Dataset::find(&keys("a/b", Value::None), &roots).unwrap();
        assert_eq!(dataset.split("test").unwrap(), [Value::map([("x", Value::Int(1))])]);
    }
}
