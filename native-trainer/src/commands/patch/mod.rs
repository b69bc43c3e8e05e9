//! `boomerang patch`: sizes of a family as models of their own.
//!
//! Tensors go from file to file as they are; no model is in memory, unless members are compared on
//! texts.

mod calibration;
mod card;
mod choice;
mod gguf;
mod members;
mod mergekit;

use std::path::{Path, PathBuf};

use boomerang_core::checkpoint::Precision;
use boomerang_core::gguf::Encoding;
use boomerang_core::plan::HeadPolicy;
use boomerang_core::prune::{Family, Student};

use crate::cli::FamilyArgs;
use crate::exit::{Exit, OrExit as _};
use crate::files::{ModelFolder, is_gguf};
use crate::progress::{print, tell};
use calibration::CalibrationArgs;
use choice::{ChoiceArgs, Size, parse_bytes};
use members::Patching;

/// Write sizes of a family as models of their own
#[derive(Clone, Debug, clap::Args)]
pub struct PatchArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    #[command(flatten)]
    pub choice: ChoiceArgs,
    /// Embedding and head of a family that ties them: untied stores both where their owners differ,
    /// teacher and student store that one's alone, auto takes the smallest of the three that is
    /// about as near to the teacher as the best (with --calibration)
    #[arg(long, value_enum, default_value_t = Head::Untied)]
    pub head: Head,
    /// How much larger the divergence from the teacher may be than the least, for --head auto
    #[arg(long, default_value_t = 0.02, value_name = "SHARE")]
    pub head_tol: f64,
    #[command(flatten)]
    pub calibration: CalibrationArgs,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Head {
    Untied,
    Teacher,
    Student,
    Auto,
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

impl Head {
    /// The policies that are compared, or the one that was asked for.
    fn policies(self) -> &'static [HeadPolicy] {
        match self {
            Self::Untied => &[HeadPolicy::Untied],
            Self::Teacher => &[HeadPolicy::Teacher],
            Self::Student => &[HeadPolicy::Student],
            Self::Auto => &[HeadPolicy::Untied, HeadPolicy::Teacher, HeadPolicy::Student],
        }
    }
}

impl Dtype {
    /// The format of a safetensors file.
    fn precision(self) -> anyhow::Result<Option<Precision>> {
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
    fn target(&self, size: &Size, format: Format) -> Option<PathBuf> {
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

    fn tell(&self, target: Option<&Path>, size: &Size, remark: &str) {
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

/// Writes the chosen members.
///
/// # Errors
/// Names the folder and what does not fit, or the size that there is not.
pub fn run(args: &PatchArgs) -> anyhow::Result<()> {
    if is_gguf(&args.family.teacher) || is_gguf(&args.family.student) {
        return gguf::run(args);
    }
    let format = args.format.unwrap_or(Format::Hf);
    let precision = if format == Format::Gguf { None } else { args.dtype.precision()? };
    let teacher = ModelFolder::open(&args.family.teacher)?;
    let student = ModelFolder::open(&args.family.student)?;
    for folder in [&teacher, &student] {
        folder.check()?;
    }
    let n_layers = (teacher.config().n_layers(), student.config().n_layers());
    let plan = args.family.plan(student.plan()?, n_layers.0, n_layers.1)?;
    if format == Format::Mergekit && args.head != Head::Untied {
        return Err(Exit::Usage.error(
            "--head is not for mergekit, which takes the embedding from the owner of the first \
             layer and the head from that of the last",
        ));
    }
    if format == Format::Mergekit && teacher.config().tied {
        tell(&format!("warning: {}", mergekit::TIED));
    }
    let order = args.family.order(teacher.config());
    let patching = Patching { args, format, precision, teacher, student, plan };
    let plan = &patching.plan;
    let patches = args.choice.patches(plan, &order).or_exit(Exit::Usage)?;
    let is_tied = patching.teacher.config().tied && patching.student.config().tied;
    let policies = match args.head {
        // With two matrices there is nothing to choose.
        Head::Auto if !is_tied => Head::Untied.policies(),
        head => head.policies(),
    };
    if args.head == Head::Auto && args.calibration.calibration.is_empty() {
        return Err(Exit::Usage.error(
            "--head auto compares members with their teacher on texts; give some with --calibration",
        ));
    }
    let mut sizes = Vec::new();
    for patch in patches {
        for &head in policies {
            sizes.push(patching.size(patch.clone(), head)?);
        }
    }
    if !args.calibration.calibration.is_empty() {
        let Patching { teacher, student, .. } = &patching;
        calibration::measure(&args.calibration, teacher, student, plan, &mut sizes)?;
    }
    if args.head == Head::Auto {
        sizes = calibration::choose_heads(sizes, args.head_tol);
    }
    let (chosen, sentence) = args.choice.choose(sizes).or_exit(Exit::Usage)?;
    for size in &chosen {
        patching.write(&plan.recipe(&size.patch), size)?;
    }
    if let Some(sentence) = sentence {
        print(&sentence);
    }
    Ok(())
}

/// Teacher and student, checked to belong together.
///
/// # Errors
/// Names the folder and what does not fit.
pub fn open_family(
    args: &FamilyArgs,
    teacher: &ModelFolder,
    device: &burn::tensor::Device,
) -> anyhow::Result<Family> {
    let folder = ModelFolder::open(&args.student)?;
    let n_layers = (teacher.config().n_layers(), folder.config().n_layers());
    let plan = args.plan(folder.plan()?, n_layers.0, n_layers.1)?;
    let student = Student::new(folder.model(device)?, plan)?;
    Family::new(teacher.teacher(device)?, student).map_err(|error| {
        anyhow::Error::new(error).context(format!(
            "{} is no student of {}",
            args.student.display(),
            args.teacher.display()
        ))
    })
}
