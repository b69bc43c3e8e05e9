//! `cargo xtask ci`: all checks of a change.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::page;
use crate::run::{Workspace, run};
use crate::setup;
use crate::tally::Tally;
use crate::test::{close, compile_tests, run_tests};

/// Runs the stages one after the other and stops at the first that fails.
///
/// Always prints `N passed, N failed` as its last line.
pub(crate) fn ci(workspace: &Workspace) -> ExitCode {
    close(stages(workspace))
}

fn stages(workspace: &Workspace) -> Result<Tally> {
    let cargo = |args: &str| run(workspace.cargo().args(args.split_whitespace()));

    stage("format", || cargo("fmt --all --check"))?;
    let tools = stage("setup", || setup::for_tests(workspace))?;
    // Optimizing a whole worker takes minutes on one core, while the others check the rest.
    let page = page::build_beside(workspace)?;
    stage("clippy", || {
        let mut clippy = workspace.cargo();
        clippy.args(["clippy", "--workspace", "--all-targets"]).args(tools.features());
        run(clippy.args(["--", "-D", "warnings"]))
    })?;
    stage("docs", || {
        let mut doc = workspace.cargo();
        run(doc.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    stage("tests, compiled", || compile_tests(workspace, &tools))?;
    stage("page, the rest of it", || page.finish())?;
    let tally = stage("tests", || run_tests(workspace, &tools, &[]))?;
    if tally.failed > 0 {
        println!("== tests: failed; their output is above");
    }
    Ok(tally)
}

/// Runs one stage and prints its name and its seconds, before and after.
fn stage<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let start = Instant::now();
    let outcome = work();
    let seconds = start.elapsed().as_secs_f32();
    match outcome {
        Ok(value) => {
            println!("== {name}: ended after {seconds:.1} s");
            Ok(value)
        }
        Err(error) => {
            println!("== {name}: failed after {seconds:.1} s");
            Err(error).with_context(|| format!("stage {name:?}"))
        }
    }
}
