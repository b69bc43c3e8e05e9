//! `cargo xtask pictures`: the pictures in README.md and docs/, taken of the page with the demo's
//! bundle.

use anyhow::Result;

use crate::page;
use crate::run::{Workspace, run};
use crate::setup;
use crate::test::with_browser;

/// The test that takes them; it is ignored otherwise.
const TEST: &str = "page::pictures::";

/// Builds the page and takes the pictures again.
pub(crate) fn pictures(workspace: &Workspace) -> Result<()> {
    let tools = setup::for_tests(workspace)?;
    let page_tools = setup::for_page(workspace)?;
    // They show a CPU, which every machine has.
    page::build(workspace, &page_tools, page::Mode::Local, page::Workers::Cpu)?;
    let mut command = workspace.cargo();
    command.args(["test", "--workspace"]).args(tools.features());
    command.args(["--test", "whole", "--", "--ignored", TEST]);
    run(with_browser(&mut command, workspace, &tools))?;
    println!("Next: git diff --stat docs/images");
    Ok(())
}
