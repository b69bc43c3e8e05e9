//! `cargo xtask demo`: trains a family and opens it in the browser.

use anyhow::{Result, bail};

use crate::backend::{Backend, build_boomerang};
use crate::page;
use crate::run::{Workspace, run};
use crate::setup;

/// The output of `boomerang demo`, relative to the repository.
const RUN_FOLDER: &str = "runs/demo";
const BUNDLE: &str = "runs/demo/bundle";

/// The options of the command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    after: After,
    /// Everything else, for `boomerang demo`
    passed_on: Vec<String>,
}

/// What to do after the results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Serve the page and open it
    Explore,
    /// Print where the results are
    Stop,
}

impl Options {
    pub(crate) fn parse(args: &[String]) -> Self {
        let mut options = Self { after: After::Explore, passed_on: Vec::new() };
        for arg in args {
            match arg.as_str() {
                "--once" => options.after = After::Stop,
                "--wgpu" => options.pass_on("--device=wgpu"),
                "--cpu" => options.pass_on("--device=cpu"),
                "--" => {}
                other => options.pass_on(other),
            }
        }
        options
    }

    fn pass_on(&mut self, arg: &str) {
        self.passed_on.push(arg.to_owned());
    }
}

/// Sets up, trains, builds the page and shows it.
pub(crate) fn demo(workspace: &Workspace, options: &Options) -> Result<()> {
    let backend = Backend::choose(&options.passed_on);
    let boomerang = build_boomerang(workspace, backend)?;

    let mut train = workspace.command(&boomerang);
    // The folder belongs to this command, so an earlier demo is overwritten.
    run(train.args(["demo", "--force", "--out", RUN_FOLDER]).args(&options.passed_on))?;

    // First the curve, which needs only Rust.
    let tools = setup::for_page(workspace)?;
    let workers = match backend {
        Backend::Wgpu => page::Workers::All,
        Backend::Cpu => page::Workers::Cpu,
    };
    page::build(workspace, &tools, page::Mode::Local, workers)?;

    if !workspace.root.join(BUNDLE).exists() {
        bail!("`boomerang demo` succeeded without writing {BUNDLE}: this is a bug");
    }
    let mut explore = workspace.command(&boomerang);
    explore.args(["explore", BUNDLE, "--site", "dist", "--open"]);
    match options.after {
        After::Explore => run(&mut explore),
        After::Stop => {
            println!("Results: {RUN_FOLDER} (the family in {BUNDLE}); the page: dist/index.html");
            println!("Open them with: {}", crate::run::show(&explore));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_goes_to_boomerang_in_order() {
        let args = ["--seeds", "3", "--once", "--cpu", "--", "--steps", "10"].map(str::to_owned);
        let expected = ["--seeds", "3", "--device=cpu", "--steps", "10"].map(str::to_owned);
        assert_eq!(
            Options::parse(&args),
            Options { after: After::Stop, passed_on: expected.to_vec() }
        );
    }
}
