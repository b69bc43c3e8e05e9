//! `cargo install` into a separate folder, so that the user's tools are unchanged.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{Workspace, cargo, plain_output, run};

/// How much of the time that a build takes is worth spending on the speed of the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Optimized {
    /// It starts other programs and copies files.
    No,
    /// It works through megabytes itself, for seconds.
    Little,
}

impl Optimized {
    fn level(self) -> &'static str {
        match self {
            Self::No => "0",
            Self::Little => "1",
        }
    }
}

/// Installs a program of a crate into the tools folder, in place of another version of it.
pub(super) fn install(
    workspace: &Workspace,
    package: &str,
    version: &str,
    options: &[&str],
    optimized: Optimized,
) -> Result<()> {
    let tools = &workspace.tools;
    fs::create_dir_all(tools).with_context(|| format!("creating {}", tools.display()))?;
    println!("This takes a few minutes, once. Installing to {}", tools.join("bin").display());

    let mut command = Command::new(cargo());
    command.args(["install", package, "--version", version]).args(options).arg("--root").arg(tools);
    // Not in the repository, whose cargo settings are for the page; and without a target folder, so
    // that cargo takes one that it removes afterwards.
    command.current_dir(tools).env_remove("CARGO_TARGET_DIR");
    command
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", optimized.level())
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    if plain_output() {
        command.env("CARGO_TERM_PROGRESS_WHEN", "never").env("CARGO_TERM_COLOR", "never");
    }
    run(&mut command).with_context(|| {
        format!("installing {package} {version}; if this machine is offline, put it on the PATH")
    })
}
