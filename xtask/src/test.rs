//! `cargo xtask test`: every test of the workspace, and their number as the last line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::page;
use crate::run::{Workspace, check, report, run, show};
use crate::setup::{self, TestTools};
use crate::tally::Tally;

/// Sets up, builds the page and everything else, runs the tests.
///
/// Always prints `N passed, N failed` as its last line.
pub(crate) fn test(workspace: &Workspace, filters: &[String]) -> ExitCode {
    let outcome = prepare(workspace).and_then(|tools| run_tests(workspace, &tools, filters));
    close(outcome)
}

/// Compiles all tests: apart from the run, so that what does not compile is not searched for among
/// the results.
pub(crate) fn compile_tests(workspace: &Workspace, tools: &TestTools) -> Result<()> {
    run(workspace.cargo().args(["test", "--workspace", "--no-run"]).args(tools.features()))
}

/// All tests, or those whose name contains a filter, with the page as it lies in dist/.
pub(crate) fn run_tests(
    workspace: &Workspace,
    tools: &TestTools,
    filters: &[String],
) -> Result<Tally> {
    let left_out: &[&str] = if tools.axe.is_some() {
        &[]
    } else {
        &["--skip", "page::axe::", "--skip", "the_element_breaks_no_rule"]
    };
    let has_words = !filters.is_empty() || !left_out.is_empty();
    let separator = has_words.then_some("--");
    let mut command = workspace.cargo();
    command
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(tools.features())
        .args(separator)
        .args(filters)
        .args(left_out)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    with_browser(&mut command, workspace, tools);
    let shown = show(&command);
    println!("$ {shown}");
    let mut child = command.spawn().with_context(|| format!("starting `{shown}`"))?;

    let mut tally = Tally::default();
    let mut output = BufReader::new(child.stdout.take().context("the tests have no output")?);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        tally.add_line(&String::from_utf8_lossy(&line));
        std::io::stdout().write_all(&line)?;
        line.clear();
    }

    let status = child.wait()?;
    if tally.failed == 0 && !status.success() {
        // A test program that crashed, or a doc test that does not compile, has no result line.
        tally.failed = 1;
        report(&check(&shown, status).err().context("the tests failed without a failed test")?);
    }
    Ok(tally)
}

/// Tests that run in a browser, with the page in dist/.
pub(crate) fn with_browser<'command>(
    command: &'command mut Command,
    workspace: &Workspace,
    tools: &TestTools,
) -> &'command mut Command {
    command
        .env("BOOMERANG_SITE", workspace.site())
        .envs(tools.axe.as_ref().map(|axe| ("AXE", axe)))
        .env("CHROMIUM", &tools.browser.chromium)
        .env("CHROMEDRIVER", &tools.browser.chromedriver)
}

/// Prints the error, if there is one, and then the closing line.
pub(crate) fn close(outcome: Result<Tally>) -> ExitCode {
    let tally = outcome.unwrap_or_else(|error| {
        report(&error);
        Tally::NO_TEST_RAN
    });
    println!("{tally}");
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn prepare(workspace: &Workspace) -> Result<TestTools> {
    let tools = setup::for_tests(workspace)?;
    let page = page::build_beside(workspace)?;
    compile_tests(workspace, &tools)?;
    page.finish()?;
    Ok(tools)
}
