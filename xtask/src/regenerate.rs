//! `cargo xtask fixtures` and `cargo xtask teacher`: what is committed but made by a program.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::backend::{Backend, build_boomerang};
use crate::run::{Workspace, run};

const FIXTURES: &str = "tests/fixtures";
const TEACHER: &str = "assets/teacher";

/// How the teacher in assets/teacher was trained.
const PRETRAIN: &[&str] = &[
    "pretrain",
    "--out",
    TEACHER,
    "--device",
    "cpu",
    "--corpus-seed",
    "5",
    "--seed",
    "0",
    "--layers",
    "12",
    "--d-model",
    "48",
    "--heads",
    "3",
    "--d-ff",
    "128",
    "--steps",
    "2600",
    "--rows",
    "16",
    "--seq-len",
    "64",
    "--lr",
    "3e-3",
    "--tail",
    "0.6",
];

/// Runs every `make_*.py` in tests/fixtures.
pub(crate) fn fixtures(workspace: &Workspace) -> Result<()> {
    let folder = workspace.root.join(FIXTURES);
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {FIXTURES}"))?;
    let mut scripts: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| PathBuf::from(FIXTURES).join(entry.file_name())))
        .collect::<Result<_, _>>()?;
    scripts.retain(|script| {
        let name = script.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("make_") && name.ends_with(".py")
    });
    scripts.sort();

    if scripts.is_empty() {
        bail!("there is no make_*.py in {FIXTURES}");
    }
    for script in &scripts {
        run(workspace.command("python3").arg(script)).with_context(|| {
            format!("{} says at its top which packages it needs", script.display())
        })?;
    }
    println!("Made again by {} scripts. Next: git diff --stat {FIXTURES}", scripts.len());
    Ok(())
}

/// Trains the embedded teacher again.
pub(crate) fn teacher(workspace: &Workspace, args: &[String]) -> Result<()> {
    if let Some(arg) = args.iter().find(|arg| !matches!(arg.as_str(), "--wgpu" | "--cpu")) {
        bail!("unexpected argument {arg:?}; see `cargo xtask help`");
    }
    let boomerang = build_boomerang(workspace, Backend::choose(args))?;
    // A checkout's files carry other times than the ones they were written with, so that the command
    // would not know them as its own; git has them.
    fs::remove_dir_all(workspace.root.join(TEACHER))
        .with_context(|| format!("removing {TEACHER}"))?;
    run(workspace.command(&boomerang).args(PRETRAIN))?;
    println!("Next: git diff --stat {TEACHER}");
    Ok(())
}
