//! The `boomerang` command.

use std::process::ExitCode;

use boomerang_native_trainer::{Cli, exit, run};
use clap::Parser;

fn main() -> ExitCode {
    let outcome = run(Cli::parse());
    if let Err(error) = &outcome {
        #[allow(clippy::print_stderr, reason = "this is where a command's error becomes visible")]
        {
            eprintln!("boomerang: {}", exit::describe(error));
        }
    }
    exit::status(&outcome).into()
}
