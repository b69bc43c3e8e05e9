//! What `boomerang eval` can be asked.

use std::path::PathBuf;

use boomerang_core::plan::PatchOrder;

use crate::args::TaskArgs;
use crate::args::numbers::{count, sequence_length};
use crate::args::{DeviceArgs, FamilyArgs, parse_order};
use crate::measure::calibration::CalibrationArgs;
use crate::measure::members::Sizes;
use crate::sizes::parse_amount;

/// Measure every size of a family
#[derive(Clone, Debug, clap::Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    /// Texts for perplexity: .txt, .text or .md, one document a file; .jsonl, .ndjson, .json or
    /// .parquet with "text", or with "input_ids" and optional "attention_mask" and "labels" (-100:
    /// not scored); repeatable. Masked language models (BERT) have a pseudo-perplexity, of each line
    /// of a .txt or each "text"
    #[arg(long)]
    pub data: Vec<PathBuf>,
    #[command(flatten)]
    pub tasks: TaskArgs,
    #[command(flatten)]
    pub which: WhichArgs,
    /// Folder for curve.csv, curve.json, family.json and the pictures
    #[arg(long, alias = "output_path", required_unless_present = "shard")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Which members are measured.
#[derive(Clone, Debug, clap::Args)]
pub struct WhichArgs {
    /// Sizes: all, numbers of layers such as 7,9,12, or every:2
    #[arg(long, default_value = "all")]
    pub members: Sizes,
    /// Another order to measure beside the first, as for --order; repeatable
    #[arg(long, value_parser = parse_order, value_name = "ORDER")]
    pub also_order: Vec<PatchOrder>,
    #[command(flatten)]
    pub calibration: CalibrationArgs,
    /// Whether naive pruning is measured at the same sizes
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub naive: bool,
    /// A student that was initialised at random and distilled on the same budget, to draw beside
    #[arg(long)]
    pub random_student: Option<PathBuf>,
}

/// How members are run.
#[derive(Clone, Debug, clap::Args)]
pub struct EngineArgs {
    /// Tokens in a batch, padding included
    #[arg(value_parser = count, long, default_value_t = 8192)]
    pub batch_tokens: usize,
    /// Tokens a model sees at once [default: the model's window]
    #[arg(value_parser = sequence_length, long, alias = "max_length")]
    pub max_length: Option<usize>,
    /// Whether members share the layers that they have in common, or each is run alone and timed
    #[arg(long, value_enum, default_value_t = Sharing::Tree)]
    pub engine: Sharing,
    /// Whether the choices of a question share its text
    #[arg(long, value_enum, default_value_t = Contexts::Shared)]
    pub contexts: Contexts,
    /// Where weights are: in memory, or on disk with one layer at a time in memory
    #[arg(long, value_enum, default_value_t = MemoryMode::Auto)]
    pub memory: MemoryMode,
    /// With weights on disk: hidden states in memory at most; more memory means fewer passes
    #[arg(long, value_parser = parse_amount, default_value = "1GB", value_name = "BYTES")]
    pub state_memory: u64,
    /// Keep answers in this folder and use those that are there; a run that was killed goes on
    #[arg(long, alias = "use_cache", value_name = "FOLDER")]
    pub use_cache: Option<PathBuf>,
    /// Answer only this part of the questions, into the cache: 2/8 is the second of eight
    #[arg(long, value_parser = parse_shard, requires = "use_cache", value_name = "I/N")]
    pub shard: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sharing {
    /// Members share layers
    Tree,
    /// One member after another
    Each,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Contexts {
    /// A common beginning of texts runs once
    Shared,
    /// Each text by itself
    Apart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MemoryMode {
    /// In memory if they fit
    Auto,
    /// In memory
    Resident,
    /// On disk, one layer at a time in memory
    Stream,
}

fn parse_shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    numbers
        .filter(|&(number, of)| (1..=of).contains(&number))
        .ok_or_else(|| format!("expected a part such as 2/8, the second of eight; found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_one() {
        assert_eq!(parse_shard("2/8"), Ok((2, 8)));
        for text in ["0/8", "9/8", "2", "a/b", "1/0"] {
            assert!(parse_shard(text).unwrap_err().contains(text), "{text}");
        }
    }
}
