//! `cargo xtask page`: the page and its workers, built with trunk into dist/.

use anyhow::{Result, bail};

use crate::run::{Workspace, plain_output, run};
use crate::setup::{self, PageTools};

/// How the page is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Small and fast: what readers get
    Release,
    /// Builds sooner, and panics have line numbers
    Debug,
}

impl Mode {
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        match args {
            [] => Ok(Self::Release),
            [arg] if arg == "--debug" => Ok(Self::Debug),
            [arg, ..] => bail!("unexpected argument {arg:?}; see `cargo xtask help`"),
        }
    }
}

/// Sets up what the page needs and builds it.
pub(crate) fn page(workspace: &Workspace, mode: Mode) -> Result<()> {
    let tools = setup::for_page(workspace)?;
    build(workspace, &tools, mode)?;
    println!("The page is in {}", workspace.site().display());
    Ok(())
}

/// Builds the page with tools that are there already.
pub(crate) fn build(workspace: &Workspace, tools: &PageTools, mode: Mode) -> Result<()> {
    // trunk is kept from the network, so that it takes the tools from here and no others. The
    // crates are fetched before, as it would not do that either.
    tools.wasm.fetch(workspace)?;

    let mut trunk = tools.wasm.command(workspace, &tools.trunk);
    trunk.args(["build", "--offline", "--skip-version-check"]);
    if mode == Mode::Release {
        trunk.arg("--release");
    }
    // trunk takes only "true" and "false" for NO_COLOR, and stops at the usual "1".
    let wants_no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    trunk.env_remove("NO_COLOR");
    if wants_no_color || plain_output() {
        trunk.env("TRUNK_COLOR", "never");
    }
    run(&mut trunk)?;

    let index = workspace.site().join("index.html");
    if !index.is_file() {
        bail!("trunk ended well but there is no {}; see Trunk.toml", index.display());
    }
    Ok(())
}
