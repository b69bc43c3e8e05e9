//! Where a command writes, and whether it may overwrite.

use std::path::PathBuf;

use clap::Args;

use crate::files::{OutputFile, OutputFolder};

/// The output of a command that writes one file or folder.
///
/// A command says what that is with `#[command(mut_arg("out", |arg| arg.help("…")))]`.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// Output folder
    #[arg(long)]
    pub out: PathBuf,
    #[command(flatten)]
    pub overwrite: OverwriteArgs,
}

/// Whether existing output may be overwritten.
#[derive(Args, Clone, Copy, Debug)]
pub struct OverwriteArgs {
    /// Overwrite existing output
    #[arg(long)]
    pub force: bool,
}

impl OutputArgs {
    /// # Errors
    /// As [`OutputFolder::create`].
    pub fn folder(&self) -> anyhow::Result<OutputFolder> {
        Ok(OutputFolder::create(&self.out, self.overwrite.force)?)
    }

    /// # Errors
    /// As [`OutputFile::create`].
    pub fn file(&self) -> anyhow::Result<OutputFile> {
        Ok(OutputFile::create(&self.out, self.overwrite.force)?)
    }
}
