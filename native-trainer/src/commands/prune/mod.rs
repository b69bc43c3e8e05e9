//! `boomerang prune`: a teacher's folder in, a student's folder out.

mod baseline;

use std::path::PathBuf;

use boomerang_core::checkpoint::{Precision, model_to_bytes};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::LayerPlan;
use boomerang_core::prune::StudentConfig;

use crate::args::numbers::{count, number, sequence_length};
use crate::args::{DeviceArgs, KeepArgs, OutputArgs};
use crate::device;
use crate::files::{ModelFolder, note_input, write_fingerprints};
use crate::measure::calibration::CalibrationArgs;
use crate::progress::print;
use baseline::Baseline;

/// Cut a student out of a teacher
#[derive(Clone, Debug, clap::Args)]
pub struct PruneArgs {
    /// Teacher: model folder (config.json, model.safetensors) or Hub id
    #[arg(long, alias = "teacher_model_name_or_path")]
    pub teacher: PathBuf,
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Use another method that needs no training, for comparison (with --layers and --calibration)
    #[arg(long, value_enum, requires = "layers", conflicts_with = "keep")]
    pub baseline: Option<Baseline>,
    /// Number of layers that the baseline keeps
    #[arg(value_parser = count, long, value_name = "N", requires = "baseline")]
    pub layers: Option<usize>,
    /// LaCo: number of layers per merge
    #[arg(value_parser = sequence_length, long, default_value_t = 4, value_name = "N")]
    pub merged: usize,
    /// LaCo: minimum distance between two merges
    #[arg(value_parser = count, long, default_value_t = 2, value_name = "N")]
    pub interval: usize,
    /// LaCo: minimum cosine similarity between the last states of the merged and the full model
    #[arg(value_parser = number, long, default_value_t = 0.65, value_name = "COSINE", allow_negative_numbers = true)]
    pub threshold: f64,
    #[command(flatten)]
    pub calibration: CalibrationArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A model that is to be written, with the plan that makes it a student.
struct Pruned {
    model: LanguageModel,
    /// `None` for a model into which no teacher block can be patched.
    plan: Option<LayerPlan>,
    sentence: String,
}

/// # Errors
/// When the layers do not make a student, or the texts cannot be used.
pub fn run(args: &PruneArgs) -> anyhow::Result<()> {
    let folder = ModelFolder::open(&args.teacher)?;
    // An output that cannot be written is an error before the work, not after it.
    args.calibration.calibration.iter().for_each(|path| note_input(path));
    let out = args.output.folder()?;
    let pruned = match args.baseline {
        Some(baseline) => baseline.prune(args, &folder)?,
        None => by_plan(args, &folder)?,
    };
    let Pruned { model, plan, sentence } = pruned;
    let precision = folder.checkpoint()?.widest_precision().unwrap_or(Precision::F32);
    if let Some(plan) = &plan {
        out.write("student_config.json", StudentConfig::of(plan).to_json().as_bytes())?;
        write_fingerprints(&out, &folder.fingerprint()?)?;
    }
    out.write("model.safetensors", &model_to_bytes(&model, precision)?)?;
    folder.describe_in(&out, model.config())?;
    out.commit()?;
    print(&sentence);
    print(&format!("written to {}", args.output.out.display()));
    Ok(())
}

fn by_plan(args: &PruneArgs, folder: &ModelFolder) -> anyhow::Result<Pruned> {
    let teacher = folder.teacher(&device::cpu())?;
    let plan = args.keep.plan(teacher.model().n_layers())?;
    let model = teacher.prune(&plan)?.model().clone();
    let sentence = format!(
        "student of {} layers (of {}), {} parameters (of {}): keeps {:?}",
        plan.n_student_layers(),
        plan.n_teacher_layers(),
        model.n_params(),
        teacher.model().n_params(),
        plan.kept()
    );
    Ok(Pruned { model, plan: Some(plan), sentence })
}
