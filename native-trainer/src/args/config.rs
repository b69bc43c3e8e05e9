//! A file with flags, and flags beside it.

use std::path::PathBuf;

use clap::Args;

/// Where a command's flags may come from besides the command line.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// YAML file with flags of this command; those on the command line come first
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A flag as KEY=VALUE, before the file's; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print the JSON Schema of the file, and stop
    #[arg(long)]
    pub config_schema: bool,
    /// All flags as a file, once they are parsed.
    #[arg(skip)]
    pub resolved: String,
}
