//! The arguments of `boomerang eval`.

use std::path::PathBuf;

use boomerang_core::plan::PatchOrder;

use crate::args::numbers::parse_amount;
use crate::args::numbers::{count, sequence_length};
use crate::args::{DeviceArgs, FamilyArgs, parse_order};
use crate::args::{OverwriteArgs, TaskArgs, WeightArgs};
use crate::measure::calibration::CalibrationArgs;
use crate::measure::members::Sizes;

/// Evaluate every size of a family
#[derive(Clone, Debug, clap::Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    /// Texts for perplexity: .txt, .text or .md, one document per file; .jsonl, .ndjson, .json or
    /// .parquet with "text", or with "input_ids" and optional "attention_mask" and "labels" (-100:
    /// not scored); repeatable. For masked language models (BERT): pseudo-perplexity of each line
    /// of a .txt or each "text"
    #[arg(long)]
    pub data: Vec<PathBuf>,
    #[command(flatten)]
    pub tasks: TaskArgs,
    #[command(flatten)]
    pub which: WhichArgs,
    /// Output folder: curve.csv, curve.json, family.json and charts
    #[arg(long, alias = "output_path", required_unless_present = "shard")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub engine: EngineArgs,
    #[command(flatten)]
    pub overwrite: OverwriteArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Which members are evaluated.
#[derive(Clone, Debug, clap::Args)]
pub struct WhichArgs {
    /// Sizes to evaluate: all, numbers of layers such as 7,9,12, or every:2
    #[arg(long, default_value = "all")]
    pub members: Sizes,
    /// Another patching order to evaluate too, as for --order; repeatable
    #[arg(long, value_parser = parse_order, value_name = "ORDER")]
    pub also_order: Vec<PatchOrder>,
    #[command(flatten)]
    pub calibration: CalibrationArgs,
    /// Evaluate naive pruning (pruned, not distilled) at the same sizes, too
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub naive: bool,
    /// Randomly initialized student that was distilled on the same budget, to evaluate too
    #[arg(long)]
    pub random_student: Option<PathBuf>,
}

/// How members are run.
#[derive(Clone, Debug, clap::Args)]
pub struct EngineArgs {
    /// Maximum tokens per batch, padding included
    #[arg(value_parser = count, long, default_value_t = 8192)]
    pub batch_tokens: usize,
    /// Maximum tokens of context [default: the model's context length]
    #[arg(value_parser = sequence_length, long, alias = "max_length")]
    pub max_length: Option<usize>,
    /// Share the layers that members have in common, or run and time each member individually
    #[arg(long, value_enum, default_value_t = Sharing::Tree)]
    pub engine: Sharing,
    /// Share the computation of a common prefix, or run every text in full
    #[arg(long, value_enum, default_value_t = Contexts::Shared)]
    pub contexts: Contexts,
    #[command(flatten)]
    pub weights: WeightArgs,
    /// Keep the weights in memory, or stream them from disk
    #[arg(long, value_enum, default_value_t = MemoryMode::Auto)]
    pub memory: MemoryMode,
    /// Maximum memory for hidden states when weights are streamed; more means fewer passes
    #[arg(long, value_parser = parse_amount, default_value = "1GB", value_name = "BYTES")]
    pub state_memory: u64,
    /// Cache model outputs in this folder and reuse them, so that a stopped run resumes
    #[arg(long, alias = "use_cache", value_name = "FOLDER")]
    pub use_cache: Option<PathBuf>,
    /// Evaluate only one shard of the questions, into the cache: 2/8 is the second of eight
    #[arg(long, value_parser = parse_shard, requires = "use_cache", value_name = "I/N")]
    pub shard: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sharing {
    /// Run layers that members share once
    #[value(alias = "trie")]
    Tree,
    /// Run one member after another
    Each,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Contexts {
    /// Run a common prefix of several texts once
    Shared,
    /// Run each text individually
    Apart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MemoryMode {
    /// Keep them in memory if they fit
    Auto,
    /// Keep them in memory
    Resident,
    /// Stream them from disk, two layers in memory at a time
    Stream,
}

fn parse_shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    numbers
        .filter(|&(number, of)| (1..=of).contains(&number))
        .ok_or_else(|| format!("expected a shard such as 2/8, the second of eight; found {text:?}"))
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
