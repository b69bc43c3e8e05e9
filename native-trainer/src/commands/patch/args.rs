//! The arguments of `boomerang patch`.

use std::path::{Path, PathBuf};

use crate::args::numbers::non_negative;
use crate::args::numbers::parse_bytes;
use crate::args::{DeviceArgs, Dtype, FamilyArgs, OverwriteArgs, parse_dtype};
use crate::measure::calibration::CalibrationArgs;
use crate::progress::print;
use crate::sizes::{CacheSize, ChoiceArgs, Head, Size};

/// Write sizes of a family as standalone models
#[derive(Clone, Debug, clap::Args)]
pub struct PatchArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// Count a 16-bit KV cache towards --bytes: context length in tokens and batch size, e.g.
    /// 4096:8
    #[arg(long, value_parser = CacheSize::parse, value_name = "CONTEXT:BATCH", requires = "bytes")]
    pub kv: Option<CacheSize>,
    /// Embedding and head of a family with tied weights
    #[arg(long, value_enum, default_value_t = Head::Untied)]
    pub head: Head,
    /// For --head auto: maximum relative excess over the lowest KL divergence from the teacher
    #[arg(value_parser = non_negative, long, default_value_t = 0.02, value_name = "SHARE")]
    pub head_tol: f64,
    #[command(flatten)]
    pub calibration: CalibrationArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Number format: keep (copy every tensor byte for byte), f32, f16 or bf16; for GGUF also q8_0
    /// or q4_0. For k-quants, write f16 and run llama.cpp's llama-quantize on the file
    #[arg(long, value_parser = parse_dtype, default_value = "keep", value_name = "FORMAT")]
    pub dtype: Dtype,
    /// Split the weights into files of at most this size, e.g. 5GB
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES", alias = "out-shard-size")]
    pub shard_size: Option<u64>,
    /// Output format [default: hf, or gguf if the parents are GGUF files]. For ONNX, run optimum on
    /// the hf folder
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Output folder (hf) or file (other formats); with --all, a folder with one model per size
    #[arg(long, required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
    /// Print what would be written, without writing it
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub overwrite: OverwriteArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Hugging Face folder, for transformers
    Hf,
    /// GGUF file, for llama.cpp
    Gguf,
    /// Recipe of 2 kB without weights, accepted wherever a model is
    Recipe,
    /// YAML for mergekit, which writes the model
    Mergekit,
}

impl PatchArgs {
    /// Where a size is written; `None` in a dry run.
    pub(super) fn target(&self, size: &Size, format: Format) -> Option<PathBuf> {
        let out = self.out.as_ref().filter(|_| !self.dry_run)?;
        if !self.choice.all {
            return Some(out.clone());
        }
        let name = format!("layers-{:02}", size.n_layers);
        Some(out.join(match format {
            Format::Hf => name,
            Format::Gguf => format!("{name}.gguf"),
            Format::Recipe => format!("{name}.recipe.json"),
            Format::Mergekit => format!("{name}.yaml"),
        }))
    }

    pub(super) fn print_size(&self, target: Option<&Path>, size: &Size, remark: &str) {
        let target = target.map_or_else(String::new, |target| format!("{}: ", target.display()));
        print(&format!(
            "{target}{} layers, {} parameters, {} bytes, patched {:?}{remark}",
            size.n_layers,
            size.n_params,
            size.n_bytes,
            size.patch.layers()
        ));
    }
}
