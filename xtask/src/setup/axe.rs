//! axe-core, the accessibility checker that one of the page's tests runs inside the page.
//!
//! It is not a part of the project (its licence is MPL 2.0) and is installed in the user's cache
//! folder.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{apt, found, installing};
use crate::run::{Workspace, find_program, run, set_variable};

const VERSION: &str = "4.14.1";

/// The script, from an earlier setup or installed with npm.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.tools.join(format!("axe-core-{VERSION}"));
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if let Some(script) =
        set_variable("AXE").into_iter().chain([script.clone()]).find(|file| file.is_file())
    {
        found("axe-core", script.display());
        return Ok(script);
    }
    let npm = || find_program("npm", &env::var_os("PATH").unwrap_or_default());
    if npm().is_none() {
        apt::install(&["npm"], "it installs axe-core, which tests the accessibility of the page")?;
    }
    let npm = npm().context("apt-get succeeded, but there is still no npm")?;
    let why = "it tests the accessibility of the page";
    installing(&format!("axe-core {VERSION}"), "npm install", why);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut install = Command::new(npm);
    install.args(["install", "--prefix"]).arg(&folder);
    // Only one file is needed, and no script of the package is run.
    install.args(["--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]);
    run(install.arg(format!("axe-core@{VERSION}")))
        .context("no axe-core for the tests (set AXE to an axe.min.js)")?;
    script.is_file().then_some(script).context("npm succeeded, but there is still no axe-core")
}
