//! `boomerang demo`: the whole story on the embedded teacher and the generated corpus.

mod story;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use boomerang_core::bundle::BundleContents;
use boomerang_core::checkpoint::{Precision, model_to_bytes};
use boomerang_core::curve::Series;
use boomerang_core::distill::loss::LossWeights;
use boomerang_core::distill::{
    Batch, DistillSettings, Distiller, Initialization, Layout, Row, Schedule, UpdateSettings,
};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::PatchOrder;
use boomerang_core::prune::{Family, Student, StudentConfig};
use boomerang_core::similarity::block_similarity;
use burn::tensor::Device;
use futures_lite::future::block_on;
use serde_json::json;
use story::{EMBEDDED, Story};

use crate::cli::DeviceArgs;
use crate::data::similarity_batches;
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::family_run::{Candidate, measure, print_table, write_bundle, write_curve};
use crate::files::OutputFolder;
use crate::progress::{Progress, print, tell};
use crate::run_folder::at_least_one;

/// The whole story on the embedded teacher: prune, distill, patch, evaluate, plot
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// Folder for the results
    #[arg(long, default_value = "runs/demo")]
    pub out: PathBuf,
    /// Students distilled, each from other data
    #[arg(long, default_value_t = 3)]
    pub seeds: u64,
    /// Steps of distillation
    #[arg(long, default_value_t = STEPS)]
    pub steps: usize,
    /// Distill for 300 steps instead, so long that the student outgrows its teacher's layers: an
    /// instructive failure
    #[arg(long, conflicts_with = "steps")]
    pub too_long: bool,
    /// Which layers are patched first
    #[arg(long, value_enum, default_value_t = OrderChoice::Last)]
    pub order: OrderChoice,
    /// Replace the results of an earlier demo
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OrderChoice {
    First,
    Last,
}

/// The student sees half a percent of the tokens the teacher saw. Much longer, and patching a teacher
/// block into a student that has learnt to do without it makes things worse before better.
const STEPS: usize = 10;
const TOO_LONG: usize = 300;
const LEARNING_RATE: f64 = 2e-3;
/// More than the paper's 2: at this size alignment is what makes teacher layers fit.
const ALIGNMENT: f64 = 20.0;
/// Places for tokens; some of them are padding.
const TOKENS_PER_STEP: usize = 1024;

pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    at_least_one("--steps", args.steps).or_exit(Exit::Usage)?;
    at_least_one("--seeds", args.seeds as usize).or_exit(Exit::Usage)?;
    let started = Instant::now();
    let device = device::choose(args.device.device)?;
    tell(&format!("device: {} ({})", device.description, device.reason));
    let out = OutputFolder::create(&args.out, args.force)?;
    let story = Story::open(&device.device)?;
    let steps = if args.too_long { TOO_LONG } else { args.steps };
    tell(&format!(
        "teacher: {} layers, {} parameters; student keeps {:?}",
        story.plan.n_teacher_layers(),
        story.teacher.model().n_params(),
        story.plan.kept()
    ));

    let candidates = distill_all(args.seeds, steps, &story, &device.device)?;
    let order = match args.order {
        OrderChoice::First => PatchOrder::First,
        OrderChoice::Last => PatchOrder::Last,
    };
    let measured =
        measure(&story.teacher, &candidates, &order, &story.examination, Precision::F16, 8192)?;

    // The bundle holds the first student; the curve beside it tells of all.
    let student = candidates[0].student.clone();
    let family = Family::new(story.teacher.clone(), student)?;
    let texts = story.texts.iter().map(|text| &*text.tokens);
    let batches = similarity_batches(texts, story.made.seq_len, Layout::Padded);
    let similarity = block_on(block_similarity(&family, &batches))?;
    write_curve(&out, &measured)?;
    out.write("similarity.json", format!("{}\n", serde_json::to_string(&similarity)?).as_bytes())?;
    write_models(&out, &family)?;
    let contents = BundleContents {
        name: "Boomerang demo",
        order,
        precision: Precision::F16,
        tokenizer_json: EMBEDDED.tokenizer,
        curve: measured.curve.clone(),
        similarity,
        prompts: prompts(),
    };
    write_bundle(&out, Path::new("bundle"), &family, contents)?;
    let run = json!({
        "command": "demo",
        "steps": steps,
        "seeds": args.seeds,
        "order": format!("{order:?}", order = args.order).to_lowercase(),
        "learning_rate": LEARNING_RATE,
        "alignment_weight": ALIGNMENT,
        "tokens_per_step": TOKENS_PER_STEP,
        "device": device.description,
        "entropy_floor": story.made.entropy_floor,
    });
    out.write("run.json", format!("{run:#}\n").as_bytes())?;
    out.commit()?;

    print_table(&measured);
    print(&format!(
        "no model can lose less than {:.3} nats a token on this corpus",
        story.made.entropy_floor
    ));
    print(&format!(
        "written to {} in {:.0} s; look at it with: boomerang explore {}",
        args.out.display(),
        started.elapsed().as_secs_f64(),
        args.out.join("bundle").display()
    ));
    Ok(())
}

/// For each seed a student that starts from the teacher's layers, and one that starts from noise.
fn distill_all(
    n_seeds: u64,
    steps: usize,
    story: &Story,
    device: &Device,
) -> anyhow::Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for seed in 0..n_seeds {
        let student = story.teacher.prune(&story.plan)?;
        let config = student.model().config().clone();
        let noise = LanguageModel::random(&config, Initialization::HuggingFace, seed, device);
        let random = Student::new(noise, story.plan.clone())?;
        candidates.push(Candidate { series: Series::Boomerang, seed, student });
        candidates.push(Candidate { series: Series::Random, seed, student: random });
    }
    let n_steps = steps * candidates.len();
    let progress = Mutex::new((0, Progress::new("distill", n_steps)));
    let stepped = || {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.0 += 1;
        let done = progress.0;
        progress.1.set(done, || format!("{} students", candidates.len()));
    };
    // Models this small leave a CPU's cores idle one by one; side by side they do not.
    let n_workers = if *device == device::cpu() {
        std::thread::available_parallelism().map_or(1, usize::from).min(candidates.len())
    } else {
        1
    };
    let next = AtomicUsize::new(0);
    let work = || -> anyhow::Result<Vec<(usize, Student)>> {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(candidate) = candidates.get(place) else { return Ok(done) };
            let student =
                distill(candidate.student.clone(), candidate.seed, steps, story, &stepped)?;
            done.push((place, student));
        }
    };
    let students = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..n_workers).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
            .collect::<anyhow::Result<Vec<_>>>()
    })?;
    progress.into_inner().unwrap_or_else(PoisonError::into_inner).1.finish();
    for (place, student) in students.into_iter().flatten() {
        candidates[place].student = student;
    }
    Ok(candidates)
}

fn distill(
    student: Student,
    seed: u64,
    steps: usize,
    story: &Story,
    stepped: &dyn Fn(),
) -> anyhow::Result<Student> {
    let schedule = Schedule::cosine(LEARNING_RATE, steps);
    let settings = DistillSettings {
        loss: LossWeights { alignment: ALIGNMENT, ..LossWeights::default() },
        update: UpdateSettings::new(schedule),
        alignment: None,
    };
    let mut distiller = Distiller::new(story.teacher.clone(), student, settings, 0);
    // Other lines than the teacher's own, whose stream has a smaller seed.
    let mut rows = story.corpus.rows(1000 + seed, story.made.seq_len);
    let n_rows = TOKENS_PER_STEP / story.made.seq_len;
    while distiller.n_steps() < steps {
        let batch = rows.by_ref().take(n_rows);
        let batch = batch.map(|row| Row { tokens: row.tokens, segments: row.segments });
        let batch = Batch::new(batch.collect(), Layout::Packed);
        let report = block_on(distiller.step(&[batch]));
        if !report.is_finite() {
            return Err(Exit::Diverged.error("the loss is no number any more"));
        }
        stepped();
    }
    Ok(distiller.student())
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
    out.write("student/student_config.json", plan.as_bytes())
}

/// Beginnings that show what the teacher knows and the student has forgotten.
fn prompts() -> Vec<String> {
    ["sort 7 2 9 4 :", "say ka lo mi backwards :", "2 + 3 + 1", "the bell rhymes with"]
        .map(str::to_owned)
        .to_vec()
}
