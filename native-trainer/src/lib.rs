//! Train, patch and evaluate a family of model sizes on this machine.
//!
//! A thin door to `boomerang-core`: this crate opens files, chooses a device, runs loops, and
//! reports progress. Every command opens, computes, writes; there is no tensor arithmetic here.

use std::ffi::OsString;
use std::process::ExitCode;

mod allocator;
pub mod args;
pub mod cli;
mod cli_examples;
pub mod commands;
pub mod config;
pub mod device;
mod embedded;
pub mod exit;
pub mod files;
mod logger;
pub mod measure;
pub mod memory;
mod parallel;
pub mod progress;
pub mod serve;
pub mod sizes;
pub mod train;

pub use cli::{Cli, Command};
use config::Refusal;
use exit::Exit;
use progress::ProgressFormat;

/// Runs the command of this process's arguments, and prints the error if it fails.
pub fn main() -> ExitCode {
    allocator::keep_freed_memory();
    logger::install();
    let words: Vec<OsString> = std::env::args_os().collect();
    // What is wrong with the other words is reported in the format that they ask for.
    let format = ProgressFormat::among(words.iter().filter_map(|word| word.to_str()));
    format.select();
    let outcome = match config::parse(words) {
        Ok(cli) => run(cli),
        Err(Refusal::Config(error)) => Err(error),
        Err(Refusal::Schema(schema)) => {
            progress::print(&schema);
            Ok(())
        }
        Err(Refusal::Usage(message)) if message.use_stderr() && format == ProgressFormat::Json => {
            Err(Exit::Usage.error(message.render().to_string().trim_end()))
        }
        Err(Refusal::Usage(message)) if message.use_stderr() => {
            // clap's own exit, with its colors and its code for wrong usage.
            message.exit()
        }
        Err(Refusal::Usage(message)) => {
            let text = message.render();
            let is_seen = std::io::IsTerminal::is_terminal(&std::io::stdout());
            let text = if is_seen { text.ansi().to_string() } else { text.to_string() };
            progress::print_piece(&text);
            Ok(())
        }
    };
    let outcome = outcome.and_then(|()| progress::finish_output());
    let exit = exit::status(&outcome);
    if let Err(error) = &outcome {
        progress::fail(&exit::describe(error), exit.code());
    }
    train::ranks::leave(exit);
    exit.into()
}

/// Runs one command.
///
/// # Errors
/// Whatever stopped it; [`exit::code_of`] gives the exit code of the process.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    cli.progress.select();
    let outcome = run_command(cli);
    files::forget_inputs();
    outcome
}

fn run_command(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Demo(args) => commands::demo::run(&args),
        Command::Pretrain(args) => commands::pretrain::run(&args),
        Command::Data(args) => commands::data::run(&args),
        Command::Prune(args) => commands::prune::run(&args),
        Command::Distill(args) => commands::distill::run(&args),
        Command::Delta(args) => commands::delta::run(&args),
        Command::Analyze(args) => commands::analyze::run(&args),
        Command::Search(args) => commands::search::run(&args),
        Command::Patch(args) => commands::patch::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Eval(args) => commands::eval::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Experiment(args) => commands::experiment::run(&args),
        Command::Bundle(args) => commands::bundle::run(&args),
        Command::Explore(args) => commands::explore::run(&args),
        Command::Lessons(args) => commands::lessons::run(&args),
        Command::Generate(args) => commands::generate::run(&args),
        Command::Sample(args) => commands::sample::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Verify(args) => commands::verify::run(&args),
        Command::Trace(args) => commands::trace::run(&args),
        Command::Hub(args) => commands::hub::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
    }
}
