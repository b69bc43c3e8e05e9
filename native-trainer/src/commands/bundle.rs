//! `boomerang bundle`: a family as static files for the explorer.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use boomerang_core::bundle::BundleContents;
use boomerang_core::checkpoint::Precision;
use boomerang_core::curve::SizeCurve;
use serde::Deserialize;

use super::patch::open_family;
use super::require_next_token;
use crate::cli::FamilyArgs;
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::family_run::write_bundle;
use crate::files::{self, ModelFolder, OutputFolder};
use crate::progress::print;

/// Pack a family for the explorer
#[derive(Clone, Debug, clap::Args)]
pub struct BundleArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    /// Folder that `boomerang eval` wrote: its curve is shown
    #[arg(long)]
    pub eval: Option<PathBuf>,
    /// What the page calls the family
    #[arg(long)]
    pub name: Option<String>,
    /// A text to offer for trying; repeatable
    #[arg(long)]
    pub prompt: Vec<String>,
    /// Number format of the weights
    #[arg(long, value_enum, default_value_t = PrecisionChoice::F16)]
    pub precision: PrecisionChoice,
    #[arg(long)]
    pub out: PathBuf,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PrecisionChoice {
    F32,
    F16,
    Bf16,
}

/// `curve.json`, as far as it is needed here.
#[derive(Deserialize)]
struct CurveFile {
    curve: SizeCurve,
}

pub fn run(args: &BundleArgs) -> anyhow::Result<()> {
    let folder = ModelFolder::open(&args.family.teacher)?;
    let family = open_family(&args.family, &folder, &device::cpu())?;
    require_next_token(folder.config(), "the explorer continues texts")?;
    let tokenizer_json =
        folder.tokenizer_json()?.context("a bundle needs the teacher's tokenizer.json")?;
    let (curve, similarity) = match &args.eval {
        Some(eval) => read_eval(eval).or_exit(Exit::Unusable)?,
        None => (SizeCurve::new(Vec::new()), Vec::new()),
    };
    let name = args.name.clone().unwrap_or_else(|| {
        args.family
            .teacher
            .file_name()
            .map_or_else(|| "family".to_owned(), |name| name.to_string_lossy().into_owned())
    });
    let contents = BundleContents {
        name: &name,
        order: args.family.order(family.teacher().model().config()),
        precision: match args.precision {
            PrecisionChoice::F32 => Precision::F32,
            PrecisionChoice::F16 => Precision::F16,
            PrecisionChoice::Bf16 => Precision::Bf16,
        },
        tokenizer_json: &tokenizer_json,
        curve,
        similarity,
        prompts: args.prompt.clone(),
    };
    let inputs = [args.family.teacher.as_path(), args.family.student.as_path()];
    let out = OutputFolder::create(&args.out, args.force)?.apart_from(&inputs)?;
    let n_bytes = write_bundle(&out, Path::new(""), &family, contents)?;
    out.commit()?;
    print(&format!(
        "{}: {n_bytes} bytes; look at it with: boomerang explore {0}",
        args.out.display()
    ));
    Ok(())
}

fn read_eval(folder: &Path) -> anyhow::Result<(SizeCurve, Vec<f64>)> {
    let read = |name: &str| files::read_text(&folder.join(name));
    let curve: CurveFile = serde_json::from_str(&read("curve.json")?)
        .with_context(|| folder.join("curve.json").display().to_string())?;
    let similarity = serde_json::from_str(&read("similarity.json")?)
        .with_context(|| folder.join("similarity.json").display().to_string())?;
    Ok((curve.curve, similarity))
}
