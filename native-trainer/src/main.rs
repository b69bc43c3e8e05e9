//! The `boomerang` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    boomerang_native_trainer::main()
}
