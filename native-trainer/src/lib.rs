//! Train, patch and evaluate a family of model sizes on this machine.
//!
//! A thin door to `boomerang-core`: this crate opens files, chooses a device, runs loops, and tells
//! what happens. Every command opens, computes, writes; there is no tensor arithmetic here.

use std::process::ExitCode;

use clap::Parser as _;

pub mod answers;
pub mod calibration;
pub mod cli;
pub mod commands;
pub mod data;
pub mod device;
pub mod documents;
pub mod exit;
pub mod family_run;
pub mod files;
pub mod hub;
pub mod members;
pub mod progress;
pub mod report;
pub mod run_folder;
pub mod serve;
pub mod side_by_side;
pub mod tasks;
pub mod train_loop;

pub use cli::{Cli, Command};

/// Runs the command that the process was started with; says what went wrong, if something did.
pub fn main() -> ExitCode {
    let outcome = run(Cli::parse());
    if let Err(error) = &outcome {
        progress::tell(&format!("boomerang: {}", exit::describe(error)));
    }
    exit::status(&outcome).into()
}

/// Runs one command.
///
/// # Errors
/// Whatever stopped it; [`exit::code_of`] says with which code the process should end.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Demo(args) => commands::demo::run(&args),
        Command::Pretrain(args) => commands::pretrain::run(&args),
        Command::Prune(args) => commands::prune::run(&args),
        Command::Distill(args) => commands::distill::run(&args),
        Command::Analyze(args) => commands::analyze::run(&args),
        Command::Search(args) => commands::search::run(&args),
        Command::Patch(args) => commands::patch::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Eval(args) => commands::eval::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Experiment(args) => commands::experiment::run(&args),
        Command::Bundle(args) => commands::bundle::run(&args),
        Command::Explore(args) => commands::explore::run(&args),
        Command::Generate(args) => commands::generate::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Verify(args) => commands::verify::run(&args),
        Command::Trace(args) => commands::trace::run(&args),
        Command::Hub(args) => commands::hub::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
    }
}
