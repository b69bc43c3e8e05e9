//! Setup, demo, tests and CI of this repository, as one program without shell scripts.
//!
//! Only the usage text and the choice of a command are here; each command has its own file.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program runs others and prints what it does"
)]

mod backend;
mod background;
mod checkout;
mod ci;
mod demo;
mod family;
mod finish;
mod module;
mod page;
mod pictures;
mod regenerate;
mod run;
mod setup;
mod tally;
mod test;
mod version;
mod weigh;

use std::env;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::run::{Workspace, report};

const USAGE: &str = "\
Usage: cargo xtask <command>

  setup                 Install missing tools for the page and the tests
  demo [options] [...]  Train the small family, build the page and open it in a browser
      --once            Stop after writing the results, without server and browser
      --wgpu, --cpu     Use a GPU or the CPU [default: a GPU if found]
      --seeds N         Train N families (this and all other options go to `boomerang demo`)
  family smollm2 [options]
                        Make a family of SmolLM2-135M-Instruct: text, student, order, curves,
                        bundle; steps whose output exists are skipped
      --teacher T       hub, pip (a Python package with the model), or a path [default: hub]
      --short           A quarter of the texts, 120 steps, every second size along one order
      --steps N         Optimizer steps of 1,024 tokens [default: 600; 120 with --short]
      --random-start    Distil a student with random weights too, for comparison
      --out FOLDER      Output folder [default: runs/smollm2]
      --wgpu, --cpu     Use a GPU or the CPU [default: a GPU if found]
  page [--debug] [--module]
                        Build the page into dist/, with --module also the npm package
  module                Build the npm package into dist-module/
  finish                Finish the output of a manual `trunk build` in dist/
  test [filter...]      Run all tests, or those whose name contains a filter
  ci                    Format, clippy, docs, wasm build, page and tests: what .ci/run does
  pictures              Take the pictures in docs/images again, of the page with the demo's bundle
  fixtures              Regenerate the reference values in tests/fixtures, with python3
  teacher [--wgpu|--cpu]
                        Retrain the teacher in assets/teacher

Environment:
  CARGO_TARGET_DIR      Build folder [default: in the user's cache folder]
  CHROMIUM, CHROMEDRIVER, AXE
                        Browser, its driver and axe.min.js for the tests [default: searched]
  CI                    If set, disables colors and progress bars
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    dispatch(&args).unwrap_or_else(|error| report(&error))
}

fn dispatch(args: &[String]) -> Result<ExitCode> {
    let Some((command, rest)) = args.split_first() else {
        eprint!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    let asks_for_help = |arg: &String| matches!(arg.as_str(), "-h" | "--help" | "help");
    if asks_for_help(command) || rest.first().is_some_and(asks_for_help) {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }

    let workspace = Workspace::find()?;
    checkout::claim(&workspace)?;
    match command.as_str() {
        "setup" => {
            no_more(rest)?;
            setup::for_tests(&workspace)?;
            println!("Setup is complete. Next: cargo xtask demo, or cargo xtask test");
        }
        "demo" => demo::demo(&workspace, &demo::Options::parse(rest))?,
        "family" => family::family(&workspace, &family::Options::parse(rest)?)?,
        "page" => page::page(&workspace, page::Options::parse(rest)?)?,
        "module" => {
            no_more(rest)?;
            module::module(&workspace)?;
        }
        "finish" => {
            no_more(rest)?;
            finish::finish(&workspace.root, &workspace.site())?;
        }
        "test" => return Ok(test::test(&workspace, rest)),
        "ci" => {
            no_more(rest)?;
            return Ok(ci::ci(&workspace));
        }
        "pictures" => {
            no_more(rest)?;
            pictures::pictures(&workspace)?;
        }
        "fixtures" => {
            no_more(rest)?;
            regenerate::fixtures(&workspace)?;
        }
        "teacher" => regenerate::teacher(&workspace, rest)?,
        unknown => bail!("unknown command {unknown:?}; `cargo xtask help` lists them"),
    }
    Ok(ExitCode::SUCCESS)
}

fn no_more(rest: &[String]) -> Result<()> {
    match rest.first() {
        None => Ok(()),
        Some(arg) => bail!("unexpected argument {arg:?}; see `cargo xtask help`"),
    }
}
