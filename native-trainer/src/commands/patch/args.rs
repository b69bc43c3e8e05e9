//! What `boomerang patch` can be asked for.

use std::path::{Path, PathBuf};

use boomerang_core::checkpoint::Precision;
use boomerang_core::gguf::Encoding;

use crate::args::numbers::non_negative;
use crate::args::{DeviceArgs, FamilyArgs};
use crate::exit::Exit;
use crate::measure::calibration::CalibrationArgs;
use crate::progress::print;
use crate::sizes::{CacheSize, ChoiceArgs, Head, Size, parse_bytes};

/// Write sizes of a family as models of their own
#[derive(Clone, Debug, clap::Args)]
pub struct PatchArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// Keys and values that have to fit beside the weights within --bytes, in 16 bits: positions of a
    /// text, and texts at a time, e.g. 4096:8
    #[arg(long, value_parser = CacheSize::parse, value_name = "CONTEXT:BATCH", requires = "bytes")]
    pub kv: Option<CacheSize>,
    /// Embedding and head of a family that ties them: untied stores both where their owners differ,
    /// teacher and student store that one's alone, auto takes the smallest of the three that is
    /// about as near to the teacher as the best (with --calibration)
    #[arg(long, value_enum, default_value_t = Head::Untied)]
    pub head: Head,
    /// How much larger the divergence from the teacher may be than the least, for --head auto
    #[arg(value_parser = non_negative, long, default_value_t = 0.02, value_name = "SHARE")]
    pub head_tol: f64,
    #[command(flatten)]
    pub calibration: CalibrationArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// The number format: keep (every tensor byte for byte), f32, f16, bf16; for GGUF also q8_0,
    /// q4_0. For k-quants write f16 and run llama.cpp's llama-quantize on the file
    #[arg(long, value_parser = parse_dtype, default_value = "keep", value_name = "FORMAT")]
    pub dtype: Dtype,
    /// Split the weights into files of at most this size, e.g. 5GB
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES", alias = "out-shard-size")]
    pub shard_size: Option<u64>,
    /// What to write [default: hf, or gguf if the parents are GGUF files]. There is no ONNX: no Rust
    /// crate exports a transformer with its cache; run optimum on the folder
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Where to write the model (a file for all formats but hf); with --all, one of them a size below
    /// it
    #[arg(long, required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
}

/// `None` keeps what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtype(pub Option<Encoding>);

/// `keep`, or a format that has an encoder.
///
/// # Errors
/// Says what to do for the others.
pub fn parse_dtype(text: &str) -> Result<Dtype, String> {
    match text {
        "keep" => Ok(Dtype(None)),
        name => Encoding::from_name(name)
            .map(|encoding| Dtype(Some(encoding)))
            .map_err(|error| error.to_string()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A folder as transformers writes it
    Hf,
    /// A file for llama.cpp
    Gguf,
    /// Two kilobytes in place of weights; accepted wherever a model is
    Recipe,
    /// YAML that makes mergekit write the model
    Mergekit,
}

impl Dtype {
    /// The format of a safetensors file.
    pub(super) fn precision(self) -> anyhow::Result<Option<Precision>> {
        match self.0 {
            None => Ok(None),
            Some(Encoding::F32) => Ok(Some(Precision::F32)),
            Some(Encoding::F16) => Ok(Some(Precision::F16)),
            Some(Encoding::Bf16) => Ok(Some(Precision::Bf16)),
            Some(encoding) => Err(Exit::Usage.error(format!(
                "--dtype {} is for GGUF files; add --format gguf",
                encoding.name()
            ))),
        }
    }
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

    pub(super) fn tell(&self, target: Option<&Path>, size: &Size, remark: &str) {
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
