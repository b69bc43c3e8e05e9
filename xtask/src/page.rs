//! `cargo xtask page`: the page and its workers, built with trunk into dist/.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::finish::finish;
use crate::run::{Workspace, plain_output, run};
use crate::setup::{self, PageTools};
use crate::weigh::weigh;

/// How the page is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Small and fast, for users
    Release,
    /// Faster to build, and panics have line numbers
    Debug,
}

/// Which builds of the model's worker the page includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workers {
    /// For the CPU and for WebGPU: the page loads the one for the user's machine
    All,
    /// Only for the CPU, where there is no GPU to use the other
    Cpu,
}

/// The page without the worker for WebGPU, beside `index.html` since its paths are relative.
const CPU_INDEX: &str = ".index-cpu.html";

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
    build(workspace, &tools, mode, Workers::All)?;
    println!("The page is in {}", workspace.site().display());
    Ok(())
}

/// Builds the page with tools that are already installed.
pub(crate) fn build(
    workspace: &Workspace,
    tools: &PageTools,
    mode: Mode,
    workers: Workers,
) -> Result<()> {
    // trunk runs offline, so that it uses these tools and no others. The crates are fetched before,
    // as it cannot do that then.
    tools.wasm.fetch(workspace)?;

    let mut trunk = tools.wasm.command(workspace, &tools.trunk);
    trunk.args(["build", "--offline", "--skip-version-check"]);
    if mode == Mode::Release {
        trunk.arg("--release");
    }
    if workers == Workers::Cpu {
        println!("The page is built without its WebGPU worker; `cargo xtask page` builds both");
        write_cpu_index(&workspace.root)?;
        trunk.args(["--html-output", "index.html", CPU_INDEX]);
    }
    // trunk accepts only "true" and "false" for NO_COLOR, and fails with the usual "1".
    let wants_no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    trunk.env_remove("NO_COLOR");
    if wants_no_color || plain_output() {
        trunk.env("TRUNK_COLOR", "never");
    }
    run(&mut trunk)?;

    let index = workspace.site().join("index.html");
    if !index.is_file() {
        bail!("trunk succeeded without writing {}; see Trunk.toml", index.display());
    }
    finish(&workspace.root, &workspace.site())?;
    if mode == Mode::Release { weigh(&workspace.site()) } else { Ok(()) }
}

fn write_cpu_index(root: &Path) -> Result<()> {
    let index = root.join("index.html");
    let html = fs::read_to_string(&index).with_context(|| index.display().to_string())?;
    let html = without_gpu_worker(&html)
        .with_context(|| format!("{} links no engine-gpu", index.display()))?;
    fs::write(root.join(CPU_INDEX), html).with_context(|| format!("writing {CPU_INDEX}"))
}

/// `None` when there is no link to remove.
fn without_gpu_worker(html: &str) -> Option<String> {
    let name = html.find("data-bin=\"engine-gpu\"")?;
    let start = html[..name].rfind("<link")?;
    let end = name + html[name..].find('>')? + 1;
    Some(format!("{}{}", &html[..start], &html[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_gpu_worker_is_taken_out() {
        let html = "<link data-bin=\"engine-cpu\">\n<link a\n data-bin=\"engine-gpu\" b>\n<p>";
        assert_eq!(without_gpu_worker(html).unwrap(), "<link data-bin=\"engine-cpu\">\n\n<p>");
    }

    #[test]
    fn the_index_has_a_gpu_worker_to_take_out() {
        let html = include_str!("../../index.html");
        let without = without_gpu_worker(html).unwrap();
        assert!(!without.contains("engine-gpu"));
        assert!(without.contains("engine-cpu") && without.contains("engine-teach"));
    }
}
