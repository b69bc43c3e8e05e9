//! `boomerang analyze`: cosine similarity of teacher and student states, and the advice from it.

use std::path::PathBuf;

use boomerang_core::plan::{KeepRule, LayerPlan, PatchOrder};
use boomerang_core::similarity::{Analysis, compare_states, similarity_order};
use futures_lite::future::block_on;
use serde_json::json;

use crate::args::numbers::count;
use crate::args::{DeviceArgs, FamilyArgs, OutputArgs, WeightArgs};
use crate::device;
use crate::exit::Exit;
use crate::files::{ModelFolder, OutputFolder, shown};
use crate::measure::calibration::CalibrationArgs;
use crate::progress::{Progress, note, print};

/// Show which layers matter, and which to keep and to patch first
#[derive(Clone, Debug, clap::Args)]
#[command(mut_arg("out", |arg| arg.help("Output folder: analysis.json, tables and charts")))]
pub struct AnalyzeArgs {
    /// Teacher: model folder or Hub id
    #[arg(long, alias = "teacher_model_name_or_path")]
    pub teacher: PathBuf,
    /// Student: model folder or Hub id [default: analyze only the teacher]
    #[arg(long, alias = "student_model_name_or_path")]
    pub student: Option<PathBuf>,
    /// Teacher layers that the student was made from, if it has no student_config.json
    #[arg(long, value_delimiter = ',', value_name = "LAYERS", requires = "student")]
    pub kept: Vec<usize>,
    /// Accept a student that was made from another teacher, or that has another tokenizer
    #[arg(long, requires = "student")]
    pub allow_mismatch: bool,
    /// Number of layers to advise keeping [default: the student's, else that of the paper's rule]
    #[arg(value_parser = count, long, value_name = "N")]
    pub layers: Option<usize>,
    #[command(flatten)]
    pub calibration: CalibrationArgs,
    #[command(flatten)]
    pub weights: WeightArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Width of a chart, and the height of those whose height is free, in pixels.
const PICTURE: (f64, f64) = (960.0, 420.0);

/// Compares the states on the texts, and writes what was found.
///
/// # Errors
/// When the models or the texts cannot be used.
pub fn run(args: &AnalyzeArgs) -> anyhow::Result<()> {
    if args.calibration.calibration.is_empty() {
        return Err(
            Exit::Usage.error("no texts to compare the states on; give some with --calibration")
        );
    }
    let folder = ModelFolder::open(&args.teacher)?;
    let n_layers = folder.config().n_layers();
    if args.layers.is_some_and(|n| n == 0 || n > n_layers) {
        return Err(Exit::Usage.error(format!(
            "--layers must be from 1 to {n_layers}, the number of layers of {}",
            args.teacher.display()
        )));
    }
    // Every state of both models, once more as directions, and the embeddings.
    let numbers_per_token = (4 * n_layers + 4) * folder.config().d_model;
    let batches = args.calibration.batches_holding(&folder, numbers_per_token)?;
    let device = device::choose(args.device.device)?;
    note(&format!("device: {} ({})", device.description, device.reason));
    let format = args.weights.on(&device.device)?;
    let (teacher, student) = match &args.student {
        None => (folder.teacher_as(format, &device.device)?, None),
        Some(student) => {
            let family = FamilyArgs {
                teacher: args.teacher.clone(),
                student: student.clone(),
                kept: args.kept.clone(),
                order: None,
                allow_mismatch: args.allow_mismatch,
                from_first: false,
            };
            let family = family.open(&folder, format, &device.device)?;
            (family.teacher().clone(), Some(family.student().clone()))
        }
    };
    let plan = student.as_ref().map(boomerang_core::prune::Student::plan);
    let advised = match (args.layers, plan) {
        (Some(layers), _) => layers,
        (None, Some(plan)) => plan.n_student_layers(),
        (None, None) => LayerPlan::by_rule(KeepRule::default(), n_layers)?.n_student_layers(),
    };
    let out = args.output.folder()?;
    let mut bar = Progress::new("compare states", batches.len());
    let mut progress = |done| bar.set(done, || "batches".to_owned());
    let model = student.as_ref().map(boomerang_core::prune::Student::model);
    let found = block_on(compare_states(teacher.model(), model, &batches, &mut progress))?;
    bar.finish();
    let analysis = Analysis::new(found, plan, advised);
    if !analysis.is_finite() {
        return Err(Exit::Unusable.error(format!(
            "the states of {} are NaN or infinite; check its weights",
            args.teacher.display()
        )));
    }
    write(&out, args, &analysis)?;
    let written = out.commit()?;
    print_summary(&analysis, folder.config().architecture.default_order());
    print(&format!("written to {}", written.display()));
    Ok(())
}

fn write(out: &OutputFolder, args: &AnalyzeArgs, analysis: &Analysis) -> anyhow::Result<()> {
    let mut json = serde_json::to_value(analysis)?;
    let calibration = args.calibration.calibration.iter().map(|path| shown(path));
    json["teacher"] = json!(shown(&args.teacher));
    json["student"] = json!(args.student.as_deref().map(shown));
    json["calibration"] = json!(calibration.collect::<Vec<_>>());
    out.write("analysis.json", format!("{}\n", serde_json::to_string(&json)?).as_bytes())?;
    out.write("influence.csv", analysis.influence_csv().as_bytes())?;
    out.write("angular_distance.csv", analysis.angular_distance_csv().as_bytes())?;
    if let Some(csv) = analysis.similarity_csv() {
        out.write("similarity.csv", csv.as_bytes())?;
    }
    let (width, height) = PICTURE;
    out.write("similarity.svg", analysis.heat_map().to_svg(width).as_bytes())?;
    out.write("influence.svg", analysis.influence_bars().to_svg(width, height).as_bytes())?;
    let map = analysis.angular_distance_map();
    out.write("angular_distance.svg", map.to_svg(width).as_bytes())?;
    if let Some(bars) = analysis.block_bars() {
        out.write("blocks.svg", bars.to_svg(width, height).as_bytes())?;
    }
    Ok(())
}

/// Prints the tables of layers and blocks, and the advice.
fn print_summary(analysis: &Analysis, default_order: PatchOrder) {
    let kept = analysis.plan.as_ref().map(LayerPlan::kept);
    let order = similarity_order(&analysis.influence);
    print("teacher layer  influence  rank  student");
    for (layer, influence) in analysis.influence.iter().enumerate() {
        let rank = order.iter().position(|&other| other == layer).unwrap_or(0) + 1;
        let of_student = match &kept {
            None => "",
            Some(kept) if kept.contains(&layer) => "kept",
            Some(_) => "dropped",
        };
        print(format!("{layer:>13}  {influence:>9.4}  {rank:>4}  {of_student}").trim_end());
    }
    if let Some((similarity, plan)) = analysis.block_similarity.as_ref().zip(analysis.plan.as_ref())
    {
        print("");
        print("student layer  teacher block  cosine");
        for (layer, cosine) in similarity.iter().enumerate() {
            let block = plan.block(layer);
            let block = if block.len() == 1 {
                block.start.to_string()
            } else {
                format!("{}-{}", block.start, block.end - 1)
            };
            print(&format!("{layer:>13}  {block:>13}  {cosine:>6.3}"));
        }
    }
    print("");
    print(&format!("On {} tokens:", analysis.n_tokens));
    for sentence in &analysis.advice.sentences {
        print(&format!("- {sentence}"));
    }
    let word = match default_order {
        PatchOrder::First => "first",
        PatchOrder::Last => "last",
        PatchOrder::Found(_) => return,
    };
    if analysis.plan.is_some() {
        print(&format!("- The paper's order for this architecture: --order {word}."));
    }
}
