//! `boomerang demo`: the whole pipeline on the embedded teacher and the generated corpus.

use std::path::{Path, PathBuf};
use std::time::Instant;

use boomerang_core::bundle::{BundleContents, StoringLoss, as_stored};
use boomerang_core::checkpoint::{Precision, model_to_bytes};
use boomerang_core::corpus::FAMILY_NAME;
use boomerang_core::corpus::distill_recipe::{ALIGNMENT, LEARNING_RATE, TOKENS_PER_STEP};
use boomerang_core::curve::Series;
use boomerang_core::distill::Layout;
use boomerang_core::plan::PatchOrder;
use boomerang_core::prune::{Family, StudentConfig};
use boomerang_core::similarity::block_similarity;
use futures_lite::future::block_on;
use serde_json::json;

use crate::args::numbers::count;
use crate::args::{DeviceArgs, OverwriteArgs};
use crate::device;
use crate::embedded::{DistillRun, EMBEDDED, EmbeddedFamily, STEPS, Start, distill_each};
use crate::files::OutputFolder;
use crate::measure::bundle::{RECORDED_TOKENS, record, write_bundle};
use crate::measure::curve::{CandidateStudent, measure, print_table, write_curve};
use crate::measure::order;
use crate::progress::{note, print};
use crate::train::data::similarity_batches;

/// Run the whole pipeline on the embedded teacher: prune, distill, patch, evaluate, plot
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// Output folder
    #[arg(long, default_value = "runs/demo")]
    pub out: PathBuf,
    /// Number of students to distill, each on other data
    #[arg(value_parser = clap::value_parser!(u64).range(1..), long, default_value_t = 3)]
    pub seeds: u64,
    /// Optimizer steps of each distillation
    #[arg(value_parser = count, long, default_value_t = STEPS)]
    pub steps: usize,
    /// Distill for 300 steps instead: an instructive failure, because the student drifts too far
    /// from its teacher for patching to work
    #[arg(long, conflicts_with = "steps")]
    pub too_long: bool,
    /// Patching order
    #[arg(long, value_enum, default_value_t = OrderChoice::Auto)]
    pub order: OrderChoice,
    #[command(flatten)]
    pub overwrite: OverwriteArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OrderChoice {
    /// Searched on calibration lines that are in no question and no held-out text
    Auto,
    /// From the first layer to the last
    First,
    /// From the last layer to the first
    Last,
}

const TOO_LONG: usize = 300;

pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    let device = device::choose(args.device.device)?;
    note(&format!("device: {} ({})", device.description, device.reason));
    let out = OutputFolder::create(&args.out, args.overwrite.force)?;
    let embedded = EmbeddedFamily::open(&device.device)?;
    let steps = if args.too_long { TOO_LONG } else { args.steps };
    note(&format!(
        "teacher: {} layers, {} parameters; student keeps {:?}",
        embedded.plan.n_teacher_layers(),
        embedded.teacher.model().n_params(),
        embedded.plan.kept()
    ));

    let candidates = distill_all(args.seeds, steps, &embedded)?;
    // The bundle holds the first student; the curve beside it covers all.
    let family = Family::new(embedded.teacher.clone(), candidates[0].student.clone())?;
    let order = match args.order {
        OrderChoice::Auto => order::search(&family, &embedded.calibration())?,
        OrderChoice::First => PatchOrder::First,
        OrderChoice::Last => PatchOrder::Last,
    };
    // The paper's two orders beside it.
    let mut orders = vec![order.clone()];
    orders.extend([PatchOrder::Last, PatchOrder::First].into_iter().filter(|it| *it != order));
    let examination = &embedded.examination;
    let measured =
        measure(&embedded.teacher, &candidates, &orders, examination, Precision::F16, 8192)?;

    let texts = embedded.texts.iter().map(|text| &*text.tokens);
    let batches = similarity_batches(texts, embedded.made.seq_len, Layout::Padded);
    let similarity = block_on(block_similarity(&family, &batches))?;
    write_curve(&out, &measured)?;
    out.write("similarity.json", format!("{}\n", serde_json::to_string(&similarity)?).as_bytes())?;
    write_models(&out, &family)?;
    let precision = Precision::F16;
    let prompts = prompts();
    let recordings =
        record(&family, &order, precision, &embedded.tokenizer, &prompts, RECORDED_TOKENS)?;
    let path = order.path(family.plan())?;
    let stored = as_stored(&family, precision, &device.device)?;
    let loss = block_on(StoringLoss::measure(&family, &stored, &path, &batches, &mut |_| {}))?;
    let order_name = order.name();
    let contents = BundleContents {
        name: FAMILY_NAME,
        order,
        stored_as: precision.into(),
        tokenizer_json: EMBEDDED.tokenizer,
        tokenizer_gz: None,
        chat: None,
        curve: measured.curve.clone(),
        similarity,
        prompts,
        recordings,
        task: Some(embedded.task()),
        loss,
    };
    let (_, stored) = write_bundle(&out, Path::new("bundle"), &family, contents)?;
    let run = json!({
        "command": "demo",
        "steps": steps,
        "seeds": args.seeds,
        "order": order_name,
        "learning_rate": LEARNING_RATE,
        "alignment_weight": ALIGNMENT,
        "tokens_per_step": TOKENS_PER_STEP,
        "device": device.description,
        "entropy_floor": embedded.made.entropy_floor,
    });
    out.write("run.json", format!("{run:#}\n").as_bytes())?;
    out.commit()?;

    print_table(&measured);
    if let Some(stored) = stored {
        print(&stored.in_full());
    }
    print(&format!(
        "entropy of the corpus, a lower bound on the loss: {:.3} nats/token",
        embedded.made.entropy_floor
    ));
    print(&format!(
        "written to {} in {:.0} s; open it with: boomerang explore {}",
        args.out.display(),
        started.elapsed().as_secs_f64(),
        args.out.join("bundle").display()
    ));
    Ok(())
}

/// For each seed a student initialized from the teacher's layers, and a randomly initialized one.
fn distill_all(
    n_seeds: u64,
    steps: usize,
    embedded: &EmbeddedFamily,
) -> anyhow::Result<Vec<CandidateStudent>> {
    let both = |seed| {
        let run = DistillRun::new(embedded.plan.clone(), steps, seed);
        let random = DistillRun { start: Start::Random, ..run.clone() };
        [(Series::Boomerang, run), (Series::Random, random)]
    };
    let (series, runs): (Vec<Series>, Vec<DistillRun>) = (0..n_seeds).flat_map(both).unzip();
    let students = distill_each(embedded, &runs)?;
    let candidates = series.into_iter().zip(runs).zip(students);
    Ok(candidates
        .map(|((series, run), student)| CandidateStudent { series, seed: run.seed, student })
        .collect())
}

/// Teacher and first student as folders that every other command, and transformers, can read.
fn write_models(out: &OutputFolder, family: &Family) -> anyhow::Result<()> {
    let models = [("teacher", family.teacher().model()), ("student", family.student().model())];
    for (name, model) in models {
        let write = |file: &str, bytes: &[u8]| out.write(&format!("{name}/{file}"), bytes);
        write("config.json", model.config().to_json().as_bytes())?;
        write("model.safetensors", &model_to_bytes(model, Precision::F16)?)?;
        write("tokenizer.json", EMBEDDED.tokenizer)?;
    }
    let plan = StudentConfig::of(family.plan()).to_json();
    Ok(out.write("student/student_config.json", plan.as_bytes())?)
}

/// Prompts that show what the teacher knows and the student has forgotten.
fn prompts() -> Vec<String> {
    ["sort 7 2 9 4 :", "say ka lo mi backwards :", "2 + 3 + 1", "the bell rhymes with"]
        .map(str::to_owned)
        .to_vec()
}
