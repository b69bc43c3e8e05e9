//! `boomerang bundle`: a family as static files for the explorer.

mod loss;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use boomerang_core::bundle::{BundleContents, ChatFormat, TaskFile};
use boomerang_core::checkpoint::{Precision, StoredAs};
use boomerang_core::curve::SizeCurve;
use boomerang_core::evaluate::Examination;
use boomerang_core::model::WeightFormat;
use boomerang_core::tokenizer::Tokenizer;
use serde::Deserialize;

use crate::args::{DeviceArgs, FamilyArgs, OutputArgs};
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::files::{self, ModelFolder, require_next_token};
use crate::measure::bundle::{RECORDED_TOKENS, compressed, record, write_bundle};
use crate::measure::calibration::CalibrationArgs;
use crate::measure::order;
use crate::progress::print;
use loss::Shown;

/// Pack a family for the explorer
#[derive(Clone, Debug, clap::Args)]
pub struct BundleArgs {
    #[command(flatten)]
    pub family: FamilyArgs,
    /// Output folder of `boomerang eval`, whose curve the page shows
    #[arg(long)]
    pub eval: Option<PathBuf>,
    /// Name of the family on the page [default: the teacher's folder name]
    #[arg(long)]
    pub name: Option<String>,
    /// Example prompt to offer on the page; repeatable
    #[arg(long)]
    pub prompt: Vec<String>,
    /// Tokens to record of each size's continuation of each prompt, shown until the weights are
    /// loaded; 0 records nothing
    #[arg(long, default_value_t = RECORDED_TOKENS, value_name = "N")]
    pub record: usize,
    /// Questions and a text to evaluate sizes on in the page: JSON with a name, questions (each
    /// with task, context, choices and gold) and a paragraph
    #[arg(long, value_name = "FILE")]
    pub task: Option<PathBuf>,
    /// Number format of the weights; its loss is measured on the --calibration texts, else on
    /// prompts and task
    #[arg(long, value_enum, default_value_t = PrecisionChoice::F16)]
    pub precision: PrecisionChoice,
    /// Measure the loss of the number format: a pass over every size, minutes for a large family
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub measure_storing: bool,
    #[command(flatten)]
    pub calibration: CalibrationArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PrecisionChoice {
    /// 32 bits
    F32,
    /// 16 bits, IEEE half precision
    F16,
    /// 16 bits, bfloat16
    Bf16,
    /// 8 bits, with one scale per 32 weights of a matrix
    #[value(name = "q8_0", alias = "q8")]
    Q8_0,
}

/// `curve.json`, as far as it is needed here.
#[derive(Deserialize)]
struct CurveFile {
    curve: SizeCurve,
}

pub fn run(args: &BundleArgs) -> anyhow::Result<()> {
    let folder = ModelFolder::open(&args.family.teacher)?;
    let family = args.family.open(&folder, WeightFormat::F32, &device::cpu())?;
    require_next_token(folder.config(), "the explorer needs a model that predicts the next token")?;
    let tokenizer_json =
        folder.tokenizer_json()?.with_context(|| folder.no_tokenizer()).or_exit(Exit::Unusable)?;
    let chat = folder.chat_template_source()?.map(|source| ChatFormat {
        template: source.text,
        special_tokens: source.special_tokens.into_iter().collect(),
    });
    let (curve, similarity) = match &args.eval {
        Some(eval) => read_eval(eval).or_exit(Exit::Unusable)?,
        None => (SizeCurve::new(Vec::new()), Vec::new()),
    };
    let tokenizer = Tokenizer::from_json(&tokenizer_json)?;
    let task = args
        .task
        .as_ref()
        .map(|path| read_task(path, &tokenizer, folder.config().max_seq).or_exit(Exit::Unusable));
    let task = task.transpose()?;
    let name = args.name.clone().unwrap_or_else(|| {
        args.family
            .teacher
            .file_name()
            .map_or_else(|| "family".to_owned(), |name| name.to_string_lossy().into_owned())
    });
    let order =
        order::choose(&args.family, (&args.calibration, &args.device), &folder, WeightFormat::F32)?;
    let stored_as: StoredAs = match args.precision {
        PrecisionChoice::F32 => Precision::F32.into(),
        PrecisionChoice::F16 => Precision::F16.into(),
        PrecisionChoice::Bf16 => Precision::Bf16.into(),
        PrecisionChoice::Q8_0 => StoredAs::Q8_0,
    };
    args.calibration.calibration.iter().for_each(|path| files::note_input(path));
    let out = args.output.folder()?;
    let recordings = record(&family, &order, stored_as, &tokenizer, &args.prompt, args.record)
        .or_exit(Exit::Usage)?;
    let shown = Shown {
        tokenizer: &tokenizer,
        prompts: &args.prompt,
        recordings: recordings.as_ref(),
        task: task.as_ref(),
    };
    let loss = loss::measure(args, &folder, &family, &order, stored_as, &shown)?;
    let tokenizer_gz = compressed(&tokenizer_json)?;
    let contents = BundleContents {
        name: &name,
        order,
        stored_as,
        tokenizer_json: &tokenizer_json,
        tokenizer_gz: tokenizer_gz.as_deref(),
        chat,
        curve,
        similarity,
        prompts: args.prompt.clone(),
        recordings,
        task,
        loss,
    };
    let (n_bytes, stored) = write_bundle(&out, Path::new(""), &family, contents)?;
    out.commit()?;
    if let Some(stored) = stored {
        print(&stored.in_full());
    }
    print(&format!(
        "{}: {n_bytes} bytes; open it with: boomerang explore {0}",
        args.output.out.display()
    ));
    Ok(())
}

fn read_eval(folder: &Path) -> anyhow::Result<(SizeCurve, Vec<f64>)> {
    files::note_input(folder);
    let read = |name: &str| files::read_text(&folder.join(name));
    let curve: CurveFile = serde_json::from_str(&read("curve.json")?)
        .with_context(|| folder.join("curve.json").display().to_string())?;
    let similarity = serde_json::from_str(&read("similarity.json")?)
        .with_context(|| folder.join("similarity.json").display().to_string())?;
    Ok((curve.curve, similarity))
}

/// A task whose questions this family can be asked.
fn read_task(path: &Path, tokenizer: &Tokenizer, max_seq: usize) -> anyhow::Result<TaskFile> {
    let text = files::read_text(path)?;
    let task = TaskFile::parse(&path.display().to_string(), text.as_bytes())?;
    Examination::new(&[], &task.questions, Some(tokenizer), max_seq)
        .with_context(|| path.display().to_string())?;
    Ok(task)
}
