//! `cargo xtask page`: the page and its workers, built with trunk into dist/.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::background::Background;
use crate::finish::finish;
use crate::module::module;
use crate::run::{Workspace, plain_output, run};
use crate::setup::{self, PageTools};
use crate::weigh::weigh;

/// How the page is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Small and fast: what visitors get
    Release,
    /// Faster to build, and panics have line numbers
    Debug,
    /// For this machine: in a fraction of the time, since page and workers share all that they are
    /// built from with each other, and what runs while building with the trainer
    Local,
}

/// Which builds of the model's worker the page includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workers {
    /// For the CPU and for WebGPU: the page takes the one that fits the visitor's machine
    All,
    /// Only for the CPU, where there is no GPU to use the other
    Cpu,
}

/// The page as it is built when it differs from `index.html`; beside it, since paths are relative.
const OTHER_INDEX: &str = ".index-local.html";

/// What `cargo xtask page` builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    mode: Mode,
    /// Whether the npm package is built after the page, whose worker it shares
    with_module: bool,
}

impl Options {
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self { mode: Mode::Release, with_module: false };
        for arg in args {
            match arg.as_str() {
                "--debug" => options.mode = Mode::Debug,
                "--module" => options.with_module = true,
                _ => bail!("unexpected argument {arg:?}; see `cargo xtask help`"),
            }
        }
        Ok(options)
    }
}

/// Sets up what the page needs and builds it.
pub(crate) fn page(workspace: &Workspace, options: Options) -> Result<()> {
    let tools = setup::for_page(workspace)?;
    build(workspace, &tools, options.mode, Workers::All)?;
    println!("The page is in {}", workspace.site().display());
    if options.with_module { module(workspace) } else { Ok(()) }
}

/// Builds the released page and the npm package in a process of its own, with tools that are there already.
pub(crate) fn build_beside(workspace: &Workspace) -> Result<Background> {
    let xtask = std::env::current_exe().context("this program does not know where it is")?;
    let mut command = workspace.command(xtask);
    Background::start(workspace, command.args(["page", "--module"]), "page")
}

/// Builds the page with tools that are there already.
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
    if let Some(html) = other_index(&workspace.root, mode, workers)? {
        fs::write(workspace.root.join(OTHER_INDEX), html)
            .with_context(|| format!("writing {OTHER_INDEX}"))?;
        trunk.args(["--html-output", "index.html", OTHER_INDEX]);
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

/// The page without the workers for WebGPU, or with links that build it in less time; `None` when it
/// is built as it stands.
fn other_index(root: &Path, mode: Mode, workers: Workers) -> Result<Option<String>> {
    if mode != Mode::Local && workers == Workers::All {
        return Ok(None);
    }
    let index = root.join("index.html");
    let mut html = fs::read_to_string(&index).with_context(|| index.display().to_string())?;
    if workers == Workers::Cpu {
        println!("The page comes without its WebGPU workers; `cargo xtask page` builds all");
        for name in GPU_WORKERS {
            html = without(&html, name)
                .with_context(|| format!("{} links no {name}", index.display()))?;
        }
    }
    Ok(Some(if mode == Mode::Local { built_together(&html) } else { html }))
}

/// The same links with one set of features and in the profile of everything else, so that what they
/// are built from is compiled once for all of them.
fn built_together(html: &str) -> String {
    const WORKERS: &str = "data-cargo-features=\"cpu,teach\"";
    const PAGE: &str = "data-cargo-features=\"boomerang-engine/cpu,boomerang-engine/teach\"";
    html.replace(" data-cargo-profile=\"engine\"", "")
        .replace("data-cargo-profile-release=\"page\"", PAGE)
        .replace("data-cargo-features=\"cpu\"", WORKERS)
        .replace("data-cargo-features=\"teach\"", WORKERS)
}

/// The programs that compute on WebGPU.
const GPU_WORKERS: [&str; 2] = ["engine-gpu", "engine-teach-gpu"];

/// The page without the link of this program; `None` when there is none to remove.
fn without(html: &str, program: &str) -> Option<String> {
    let name = html.find(&format!("data-bin=\"{program}\""))?;
    let start = html[..name].rfind("<link")?;
    let end = name + html[name..].find('>')? + 1;
    Some(format!("{}{}", &html[..start], &html[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_program_is_taken_out() {
        let html = "<link data-bin=\"engine-cpu\">\n<link a\n data-bin=\"engine-gpu\" b>\n<p>";
        assert_eq!(without(html, "engine-gpu").unwrap(), "<link data-bin=\"engine-cpu\">\n\n<p>");
        assert_eq!(without(html, "engine"), None);
    }

    #[test]
    fn all_programs_of_a_local_page_are_built_with_the_same_features() {
        let html = built_together(include_str!("../../index.html"));
        assert!(!html.contains("data-cargo-profile"));
        assert_eq!(html.matches("data-cargo-features=\"cpu,teach\"").count(), 2);
        assert_eq!(html.matches("boomerang-engine/teach").count(), 1);
    }

    #[test]
    fn the_index_has_gpu_workers_to_take_out() {
        let mut html = include_str!("../../index.html").to_owned();
        for name in GPU_WORKERS {
            html = without(&html, name).unwrap();
        }
        assert!(!html.contains("gpu"), "{html}");
        assert!(html.contains("\"engine-cpu\"") && html.contains("\"engine-teach\""));
    }
}
