//! `boomerang distill`: train a student to imitate its teacher, resumably.

use std::path::PathBuf;

use anyhow::Context as _;
use boomerang_core::checkpoint::{Checkpoint, Precision, model_to_bytes};
use boomerang_core::distill::loss::{KlPositions, LossWeights};
use boomerang_core::distill::{
    DistillSettings, Distiller, Initialization, Layout, Part, Reduction, Schedule, UpdateSettings,
};
use boomerang_core::model::LanguageModel;
use boomerang_core::prune::{Family, Student, StudentConfig, Teacher};
use serde_json::json;

use crate::cli::{DeviceArgs, KeepArgs, Preset};
use crate::data::{Packing, Rows};
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::files::{ModelFolder, OutputFolder};
use crate::progress::{print, tell};
use crate::run_folder::{RunFolder, State, at_least_one};
use crate::train_loop::{Ending, Interrupt, LoopSettings, train};

/// Train a student to imitate its teacher
#[derive(Clone, Debug, clap::Args)]
pub struct DistillArgs {
    /// Folder of the teacher (config.json, model.safetensors, tokenizer.json for text)
    #[arg(long, alias = "teacher_model_name_or_path")]
    pub teacher: PathBuf,
    /// Folder of the student; without it, the student is cut out of the teacher first
    #[arg(long, alias = "student_model_name_or_path")]
    pub student: Option<PathBuf>,
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Start from the teacher's layers, or from noise (the paper's random baseline)
    #[arg(long, value_enum, default_value_t = InitChoice::Copy)]
    pub init: InitChoice,
    /// Of the noise
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Text (.txt), or .jsonl with "text" or with "input_ids" and "attention_mask"; repeatable
    #[arg(long, required = true)]
    pub data: Vec<PathBuf>,
    /// Folder of the run
    #[arg(long)]
    pub out: PathBuf,
    /// Where the other settings start from
    #[arg(long, value_enum, default_value_t = Preset::Default)]
    pub preset: Preset,

    /// Steps of the optimizer
    #[arg(long, alias = "max_steps", default_value_t = 500)]
    pub steps: usize,
    /// Micro-batches whose gradients make one step
    #[arg(long, alias = "gradient_accumulation_steps", default_value_t = 1)]
    pub micro_batches: usize,
    /// Rows of a micro-batch
    #[arg(long, alias = "per_device_train_batch_size", default_value_t = 8)]
    pub rows: usize,
    /// Tokens of a row [default: the model's window, at most 2048]
    #[arg(long, alias = "max_length")]
    pub seq_len: Option<usize>,
    /// How documents become rows [default: packed; padded with --preset paper]
    #[arg(long, value_enum)]
    pub packing: Option<PackingChoice>,

    /// Learning rate at its peak
    #[arg(long, alias = "learning_rate", default_value_t = 3e-4)]
    pub lr: f64,
    /// Steps of linear warm-up [default: 1 % of the steps]
    #[arg(long, alias = "warmup_steps")]
    pub warmup: Option<usize>,
    #[arg(long, default_value_t = 0.1)]
    pub weight_decay: f32,
    /// Largest norm of the gradient
    #[arg(long, alias = "max_grad_norm", default_value_t = 1.0)]
    pub clip: f64,
    /// Average or sum the gradients of micro-batches [default: mean; sum with --preset paper]
    #[arg(long, value_enum)]
    pub reduce: Option<ReduceChoice>,
    /// Parts that keep the teacher's weights: embedding, head
    #[arg(long, value_enum, value_delimiter = ',')]
    pub freeze: Vec<PartChoice>,

    /// Weight of the cross-entropy; 0 turns it off
    #[arg(long, default_value_t = 1.0)]
    pub ce_weight: f64,
    /// Weight of the KL divergence from the teacher; 0 turns it off
    #[arg(long, alias = "kl_loss_weight", default_value_t = 0.1)]
    pub kl_weight: f64,
    /// Softening of both distributions in the KL term
    #[arg(long, default_value_t = 1.0)]
    pub temperature: f64,
    /// Where the KL term looks [default: valid; all with --preset paper]
    #[arg(long, value_enum)]
    pub kl_positions: Option<KlChoice>,
    /// Weight of the alignment of hidden states; 0 turns it off
    #[arg(long, alias = "cosine_loss_weight", alias = "cos-weight", default_value_t = 2.0)]
    pub cosine_weight: f64,

    /// Save after every so many steps
    #[arg(long, default_value_t = 50)]
    pub save_every: usize,
    /// Pause, saved, after this many steps in all
    #[arg(long)]
    pub stop_after: Option<usize>,
    /// Go on with the run in --out
    #[arg(long, conflicts_with = "force")]
    pub resume: bool,
    /// Begin again when there is a run already
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub device: DeviceArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum InitChoice {
    Copy,
    Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PackingChoice {
    /// Documents end to end; they do not attend to each other
    #[value(alias = "docs")]
    Packed,
    /// One document to a row, cut or padded
    #[value(alias = "pad")]
    Padded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ReduceChoice {
    Mean,
    Sum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PartChoice {
    #[value(alias = "embed")]
    Embedding,
    Head,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KlChoice {
    /// At tokens
    Valid,
    /// At padding, too
    All,
}

pub fn run(args: &DistillArgs) -> anyhow::Result<()> {
    check(args)?;
    let device = device::choose(args.device.device)?;
    tell(&format!("device: {} ({})", device.description, device.reason));
    let teacher_folder = ModelFolder::open(&args.teacher)?;
    let teacher = teacher_folder.teacher(&device.device)?;
    let student = open_student(args, &teacher, &device.device)?;
    let family = Family::new(teacher.clone(), student.clone()).or_exit(Exit::Unusable)?;

    let settings = settings(args, family.student());
    let config = teacher.model().config();
    let seq = args.seq_len.unwrap_or(config.max_seq.min(2048));
    let layout = layout(args);
    let packing = Packing { seq, layout, end_token: config.end_tokens().first().copied() };
    let tokenizer = teacher_folder.tokenizer()?;
    let rows = Rows::read(&args.data, tokenizer.as_ref(), packing, config.vocab)
        .or_exit(Exit::Unusable)?;

    let record = json!({
        "command": "distill",
        "teacher": args.teacher,
        "student": args.student,
        "kept": student.plan().kept(),
        "init": format!("{:?}", args.init).to_lowercase(),
        "seed": args.seed,
        "data": args.data,
        "n_rows": rows.len(),
        "seq_len": seq,
        "packing": format!("{layout:?}").to_lowercase(),
        "micro_batches": args.micro_batches,
        "rows": args.rows,
        "settings": settings,
    });
    let (run, state, mut distiller) = if args.resume {
        resume(args, &record, &family, settings)?
    } else {
        let run = RunFolder::create(&args.out, &record, args.force)?;
        let distiller = Distiller::new(teacher, student, settings, 0);
        (run, State { step: 0, n_tokens: 0 }, distiller)
    };

    let loop_settings = LoopSettings {
        total_steps: args.steps,
        micro_batches: args.micro_batches,
        rows: args.rows,
        save_every: args.save_every,
        stop_after: args.stop_after,
    };
    let interrupt = Interrupt::listen()?;
    let ending = train(&mut distiller, &rows, loop_settings, &run, state.n_tokens, &interrupt)?;
    match ending {
        Ending::Finished => write_student(&run, &distiller.student(), &teacher_folder),
        Ending::Paused { interrupted } => {
            print(&format!(
                "paused after {} of {} steps; go on with the same command and --resume",
                distiller.n_steps(),
                args.steps
            ));
            if interrupted {
                return Err(anyhow::anyhow!("interrupted; the run is saved"))
                    .or_exit(Exit::Interrupted);
            }
            Ok(())
        }
    }
}

fn check(args: &DistillArgs) -> anyhow::Result<()> {
    let numbers = [
        ("--steps", args.steps),
        ("--micro-batches", args.micro_batches),
        ("--rows", args.rows),
        ("--save-every", args.save_every),
        ("--seq-len", args.seq_len.map_or(1, |seq| seq.saturating_sub(1))),
    ];
    for (flag, number) in numbers {
        at_least_one(flag, number).or_exit(Exit::Usage)?;
    }
    if args.ce_weight == 0.0 && args.kl_weight == 0.0 && args.cosine_weight == 0.0 {
        return Err(anyhow::anyhow!(
            "every loss term is off; set --ce-weight, --kl-weight or --cosine-weight above 0"
        ))
        .or_exit(Exit::Usage);
    }
    Ok(())
}

fn open_student(
    args: &DistillArgs,
    teacher: &Teacher,
    device: &burn::tensor::Device,
) -> anyhow::Result<Student> {
    let student = match &args.student {
        Some(path) => ModelFolder::open(path)?.student(device)?,
        None => teacher.prune(&args.keep.plan(teacher.model().n_layers())?)?,
    };
    match args.init {
        InitChoice::Copy => Ok(student),
        InitChoice::Random => {
            let config = student.model().config();
            let noise =
                LanguageModel::random(config, Initialization::HuggingFace, args.seed, device);
            Ok(Student::new(noise, student.plan().clone())?)
        }
    }
}

fn layout(args: &DistillArgs) -> Layout {
    match (args.packing, args.preset) {
        (Some(PackingChoice::Padded), _) | (None, Preset::Paper) => Layout::Padded,
        (Some(PackingChoice::Packed), _) | (None, Preset::Default) => Layout::Packed,
    }
}

fn settings(args: &DistillArgs, student: &Student) -> DistillSettings {
    let is_paper = args.preset == Preset::Paper;
    let kl_positions = match (args.kl_positions, is_paper) {
        (Some(KlChoice::All), _) | (None, true) => KlPositions::All,
        (Some(KlChoice::Valid), _) | (None, false) => KlPositions::Valid,
    };
    let reduction = match (args.reduce, is_paper) {
        (Some(ReduceChoice::Sum), _) | (None, true) => Reduction::Sum,
        (Some(ReduceChoice::Mean), _) | (None, false) => Reduction::Mean,
    };
    let mut schedule = Schedule::cosine(args.lr, args.steps);
    schedule.warmup_steps = args.warmup.unwrap_or(schedule.warmup_steps);
    let plan = student.plan();
    // The reference derives its pairs from the rule, so a list of layers has only the plan's own.
    let alignment = (is_paper && args.keep.keep.is_empty()).then(|| {
        args.keep.rule().reference_alignment(plan.n_teacher_layers(), plan.n_student_layers() + 1)
    });
    let frozen = args.freeze.iter().map(|part| match part {
        PartChoice::Embedding => Part::Embedding,
        PartChoice::Head => Part::Head,
    });
    DistillSettings {
        loss: LossWeights {
            cross_entropy: args.ce_weight,
            kl: args.kl_weight,
            temperature: args.temperature,
            kl_positions,
            alignment: args.cosine_weight,
        },
        update: UpdateSettings {
            weight_decay: args.weight_decay,
            clip: args.clip,
            reduction,
            frozen: frozen.collect(),
            ..UpdateSettings::new(schedule)
        },
        alignment,
    }
}

fn resume(
    args: &DistillArgs,
    record: &serde_json::Value,
    family: &Family,
    settings: DistillSettings,
) -> anyhow::Result<(RunFolder, State, Distiller)> {
    let run = RunFolder::resume(&args.out, record)?;
    let (teacher, student) = (family.teacher().clone(), family.student().clone());
    let Some(saved) = run.newest()? else {
        tell("the run has no checkpoint yet: beginning at step 0");
        let distiller = Distiller::new(teacher, student, settings, 0);
        return Ok((run, State { step: 0, n_tokens: 0 }, distiller));
    };
    let name = "the checkpoint's model.safetensors".to_owned();
    let model = Checkpoint::parse([(name, saved.model.as_slice())])
        .and_then(|weights| weights.read_model(student.model().config(), &teacher.model().device()))
        .or_exit(Exit::Unusable)?;
    let student = Student::new(model, student.plan().clone())?;
    let distiller = Distiller::new(teacher, student, settings, saved.state.step)
        .with_optimizer_state(saved.optimizer)
        .or_exit(Exit::Unusable)?;
    tell(&format!("resuming after step {}", saved.state.step));
    Ok((run, saved.state, distiller))
}

/// The finished student, in f32, as the reference implementation saves it.
fn write_student(run: &RunFolder, student: &Student, teacher: &ModelFolder) -> anyhow::Result<()> {
    let out = OutputFolder::create(&run.student(), true)?;
    out.write("config.json", student.model().config().to_json().as_bytes())?;
    out.write("student_config.json", StudentConfig::of(student.plan()).to_json().as_bytes())?;
    out.write("model.safetensors", &model_to_bytes(student.model(), Precision::F32)?)?;
    teacher.copy_extras_to(out.path())?;
    out.commit().context("writing the student")?;
    print(&format!("student written to {}", run.student().display()));
    Ok(())
}
