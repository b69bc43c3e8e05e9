//! `boomerang lessons`: the answer sheets of a class as tables.

mod collect;
mod tables;

use clap::Subcommand;

use crate::cli_examples as examples;

/// Collect the answer sheets of the explorer's lessons
#[derive(Clone, Debug, clap::Args)]
pub struct LessonsArgs {
    #[command(subcommand)]
    pub command: LessonsCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum LessonsCommand {
    /// Tabulate a class: right answers before and after, with intervals, and the free answers
    #[command(after_help = examples::LESSONS_COLLECT)]
    Collect(collect::CollectArgs),
}

/// # Errors
/// When no sheet can be used, or the tables cannot be written.
pub fn run(args: &LessonsArgs) -> anyhow::Result<()> {
    match &args.command {
        LessonsCommand::Collect(args) => collect::run(args),
    }
}
