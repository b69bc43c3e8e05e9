//! `boomerang verify`: whether a patched model is the one that its recipe describes.

mod gguf;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use boomerang_core::bundle::hex;
use boomerang_core::checkpoint::Checkpoint;
use boomerang_core::config::ModelConfig;
use boomerang_core::evaluate::ensure_finite;
use boomerang_core::model::LanguageModel;
use sha2::{Digest, Sha256};

use super::trace::trace_text;
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::files::{ModelFolder, RECIPE, RecipeFile, is_gguf};
use crate::progress::print;

/// Check a patched model against the family it comes from
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// Output of `boomerang patch`: a folder or a GGUF file
    pub model: PathBuf,
    /// Teacher of the family; required for a GGUF file
    #[arg(long)]
    pub teacher: Option<PathBuf>,
    /// Student of the family; required for a GGUF file
    #[arg(long)]
    pub student: Option<PathBuf>,
    /// For a GGUF file: teacher layers that the student was made from, if its file has no plan
    #[arg(long, value_delimiter = ',', value_name = "LAYERS")]
    pub kept: Vec<usize>,
    /// Compare the logits with those of another implementation, too
    #[arg(long, value_enum)]
    pub against: Option<Against>,
    /// Python interpreter with transformers and torch
    #[arg(long, default_value = "python3", value_name = "PROGRAM")]
    pub python: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Against {
    /// Hugging Face transformers, in float32
    Transformers,
}

/// Tokens that the logits are compared for.
const N_TOKENS: usize = 16;

/// f32 against f32, other order of summation.
const TOLERANCE: f32 = 1e-4;

/// What transformers computes for the ids on the command line, with the class named there, as
/// little-endian f32.
const SCRIPT: &str = "\
import os, sys, torch
import transformers
folder, file = (sys.argv[1], None) if os.path.isdir(sys.argv[1]) else os.path.split(sys.argv[1])
model = getattr(transformers, sys.argv[3]).from_pretrained(folder or '.', gguf_file=file, torch_dtype=torch.float32, attn_implementation='eager')
ids = torch.tensor([[int(token) for token in sys.argv[2].split(',')]])
with torch.no_grad():
    logits = model.eval()(ids).logits[0].contiguous()
sys.stdout.buffer.write(logits.numpy().astype('<f4').tobytes())
";

/// # Errors
/// Names what differs; exit code 8.
pub fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    if is_gguf(&args.model) {
        return gguf::run(args);
    }
    let recipe_path = args.model.join(RECIPE);
    let file = RecipeFile::read(&recipe_path)?;
    for (name, expected) in &file.files {
        let found = hash_file(&args.model.join(name))?;
        ensure_verified(found == *expected, || {
            format!("{name} has SHA-256 {found}; {RECIPE} has {expected}")
        })?;
    }
    print(&format!("hashes    {} weight files as written", file.files.len()));

    let folder = ModelFolder::open(&args.model)?;
    let checkpoint = folder.checkpoint()?;
    let config = folder.config();
    checkpoint.check(config).or_exit(Exit::VerificationFailed)?;
    let tie = if config.tied { "tied" } else { "not tied" };
    print(&format!("shapes    {} layers as in config.json, {tie}", config.n_layers()));

    let parents = RecipeFile::open(&recipe_path)?;
    let (member, member_config) = parents.member()?;
    ensure_verified(
        member_config.layers == config.layers && member_config.tied == config.tied,
        || "config.json does not describe the layers of the recipe".to_owned(),
    )?;
    print(&format!("tensors   {}", compare(&member, &checkpoint)?));

    let ids = some_ids(config);
    let device = device::cpu();
    let written = folder.model(&device).or_exit(Exit::VerificationFailed)?;
    let written = logits(&written, &ids)?;
    let expected = member.read_model(&member_config, &device).or_exit(Exit::VerificationFailed)?;
    let expected = logits(&expected, &ids)?;
    let difference = largest_difference(&written, &expected);
    // A member stored in fewer bits than its parents differs only by rounding.
    print(&format!("logits    {difference:.1e} from the member's, relative to the largest"));
    if args.against == Some(Against::Transformers) {
        against_transformers(args, config.is_masked(), &ids, &written)?;
    }
    Ok(())
}

/// A text that every model can read.
fn some_ids(config: &ModelConfig) -> Vec<u32> {
    let positions = 0..N_TOKENS.min(config.max_seq);
    positions.map(|position| (position * 7 % config.vocab) as u32).collect()
}

fn ensure_verified(holds: bool, sentence: impl FnOnce() -> String) -> anyhow::Result<()> {
    if holds { Ok(()) } else { Err(Exit::VerificationFailed.error(sentence())) }
}

fn hash_file(path: &Path) -> anyhow::Result<String> {
    let unreadable = || format!("{} cannot be read", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).with_context(unreadable)? {
            0 => break,
            n_read => hasher.update(&buffer[..n_read]),
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// Every tensor of the member against the written one.
fn compare(member: &Checkpoint<'_>, written: &Checkpoint<'_>) -> anyhow::Result<String> {
    let mut n_converted = 0;
    for (name, expected) in member.tensors() {
        let found = written.tensor(name).or_exit(Exit::VerificationFailed)?;
        if found.dtype() != expected.dtype() {
            n_converted += 1;
            continue;
        }
        ensure_verified(found.data() == expected.data(), || {
            format!("tensor {name:?} differs from its parent's")
        })?;
    }
    let n_tensors = member.tensors().len();
    ensure_verified(written.tensors().len() == n_tensors, || {
        format!("{} tensors were written, the member has {n_tensors}", written.tensors().len())
    })?;
    let n_equal = n_tensors - n_converted;
    Ok(match n_converted {
        0 => format!("{n_equal} equal to their parents' byte for byte"),
        _ => format!("{n_equal} equal to their parents', {n_converted} in another dtype"),
    })
}

/// Those after each of the tokens, `[seq * vocab]`.
fn logits(model: &LanguageModel, ids: &[u32]) -> anyhow::Result<Vec<f32>> {
    let logits: Vec<f32> = trace_text(model, ids).logits.into_data().iter::<f32>().collect();
    ensure_finite(&logits, "the logits").or_exit(Exit::VerificationFailed)?;
    Ok(logits)
}

/// Relative to the largest expected value; infinite if a value is NaN.
fn largest_difference(found: &[f32], expected: &[f32]) -> f32 {
    let largest =
        expected.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    let worst = differences.fold(0.0_f32, |worst, difference| {
        if difference.is_nan() { f32::INFINITY } else { worst.max(difference) }
    });
    worst / largest
}

fn against_transformers(
    args: &VerifyArgs,
    is_masked: bool,
    ids: &[u32],
    ours: &[f32],
) -> anyhow::Result<()> {
    let class = if is_masked { "AutoModelForMaskedLM" } else { "AutoModelForCausalLM" };
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let ids = ids.join(",");
    let has_them = Command::new(&args.python)
        .args(["-c", "import torch, transformers"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_them {
        let python = args.python.display();
        print(&format!(
            "{python} has no transformers; with it, this prints the same logits as f32 bytes:\n\n\
             {python} -c \"{SCRIPT}\" {} {ids} {class}",
            args.model.display()
        ));
        return Ok(());
    }
    let output = Command::new(&args.python)
        .args(["-c", SCRIPT])
        .arg(&args.model)
        .arg(&ids)
        .arg(class)
        .env("HF_HUB_OFFLINE", "1")
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("starting {}", args.python.display()))?;
    if !output.status.success() {
        // The last line of a traceback is the error.
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        return Err(Exit::VerificationFailed.error(format!("transformers: {last}")));
    }
    let theirs: Vec<f32> =
        output.stdout.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    ensure!(
        theirs.len() == ours.len(),
        "transformers gave {} logits, expected {}",
        theirs.len(),
        ours.len()
    );
    let difference = largest_difference(ours, &theirs);
    print(&format!("logits    {difference:.1e} from transformers', relative to the largest"));
    ensure_verified(difference <= TOLERANCE, || {
        format!("the logits differ from those of transformers by {difference:.1e}")
    })
}
