//! `boomerang`, built with the tests.

fn main() -> std::process::ExitCode {
    boomerang_native_trainer::main()
}
