//! `boomerang distill`: train a student to imitate its teacher, resumably.

mod args;
mod labels;

pub use args::{DistillArgs, InitChoice};

use anyhow::Context as _;
use boomerang_core::bundle::hex;
use boomerang_core::checkpoint::{Checkpoint, Precision, model_to_bytes};
use boomerang_core::distill::{
    DistillSettings, Distiller, Initialization, Labels, Levers, step_bytes,
};
use boomerang_core::model::LanguageModel;
use boomerang_core::prune::{Family, Student, StudentConfig, Teacher};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::files::{
    self, ModelFolder, OutputFolder, require_next_token, shown, write_fingerprints,
};
use crate::progress::{note, print};
use crate::train::data::{Packing, read_rows};
use crate::train::run::{Ending, Interrupt, LoopSettings, train};
use crate::train::run_folder::{RunFolder, State};

pub fn run(args: &DistillArgs) -> anyhow::Result<()> {
    args.check()?;
    let device = device::choose(args.device.device)?;
    note(&format!("device: {} ({})", device.description, device.reason));
    let teacher_folder = ModelFolder::open(&args.teacher)?;
    require_next_token(
        teacher_folder.config(),
        "distillation needs a model that predicts the next token",
    )?;
    let teacher = teacher_folder.teacher(&device.device)?;
    let student = open_student(args, &teacher_folder, &teacher, &device.device)?;
    let family = Family::new(teacher.clone(), student.clone()).or_exit(Exit::Unusable)?;

    let settings = args.settings(family.student());
    let config = teacher.model().config();
    let seq = args.seq_len.unwrap_or(config.max_seq.min(2048));
    if seq > config.max_seq {
        return Err(Exit::Usage.error(format!(
            "--seq-len {seq} exceeds the teacher's context length of {} tokens",
            config.max_seq
        )));
    }
    let of_student = student.model().config();
    let n_bytes = |levers: &Levers| step_bytes(of_student, Some(config), [args.rows, seq], levers);
    // How much of a GPU's memory is free is not known before it is full.
    let memory = (device.device == device::cpu()).then(device::Memory::of_this_machine).flatten();
    let levers = args.levers.choose(memory, n_bytes);
    if memory.is_some() {
        let advice = "lower --batch-size or --seq-len, or add --recompute always";
        device::require_memory("a step", n_bytes(&levers), advice)?;
    }
    let layout = args.layout();
    let tokenizer = teacher_folder.tokenizer()?;
    let labels = labels::choose(args, &teacher_folder, tokenizer.as_ref())?;
    let end_token = match labels {
        Labels::Except(token) => Some(token),
        // Rows of ids need none.
        Labels::All if tokenizer.is_none() => None,
        Labels::All => teacher_folder.eos_token()?,
    };
    let packing = Packing { seq, layout, end_token };
    let rows = read_rows(&args.data, tokenizer.as_ref(), packing, config)
        .or_exit(Exit::Unusable)?
        .labelled(labels);
    labels::check(args, &rows)?;

    let mut record = json!({
        "command": "distill",
        "teacher": shown(&args.teacher),
        "student": args.student.as_deref().map(shown),
        "kept": student.plan().kept(),
        "init": format!("{:?}", args.init).to_lowercase(),
        "seed": args.seed,
        "data": args.data.iter().map(|path| shown(path)).collect::<Vec<_>>(),
        "n_rows": rows.len(),
        "seq_len": seq,
        "packing": format!("{layout:?}").to_lowercase(),
        "micro_batches": args.micro_batches,
        "rows": args.rows,
        "settings": settings,
        "fingerprints": fingerprints(args, &teacher_folder)?,
    });
    if labels != Labels::All {
        record["labels"] = json!(labels);
    }
    let (run, state, distiller) = if args.resume {
        resume(args, &record, &family, settings)?
    } else {
        let run = RunFolder::create(&args.out, &record, args.overwrite.force)?;
        let distiller = Distiller::new(teacher, student, settings, 0);
        (run, State { step: 0, n_tokens: 0 }, distiller)
    };

    let mut distiller = distiller.with_levers(levers);
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
                "paused after {} of {} steps; resume with the same command and --resume",
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

fn open_student(
    args: &DistillArgs,
    teacher_folder: &ModelFolder,
    teacher: &Teacher,
    device: &burn::tensor::Device,
) -> anyhow::Result<Student> {
    let student = match &args.student {
        Some(path) => {
            let folder = ModelFolder::open(path)?;
            folder.check_teacher(teacher_folder, args.allow_mismatch)?;
            folder.student(device)?
        }
        None => teacher.prune(&args.keep.plan(teacher.model().n_layers())?)?,
    };
    match args.init {
        InitChoice::Copy => Ok(student),
        InitChoice::Random => {
            let config = student.model().config();
            let random =
                LanguageModel::random(config, Initialization::HuggingFace, args.seed, device);
            Ok(Student::new(random, student.plan().clone())?)
        }
    }
}

/// What the run is bound to besides its settings: the contents of what it reads, which may change
/// under the same names.
fn fingerprints(args: &DistillArgs, teacher: &ModelFolder) -> anyhow::Result<Value> {
    let student = args.student.as_ref().map(|path| ModelFolder::open(path)?.fingerprint());
    let data = args.data.iter().map(|path| Ok(hex(&Sha256::digest(&*files::map(path)?))));
    Ok(json!({
        "teacher": teacher.fingerprint()?,
        "student": student.transpose()?,
        "data_sha256": data.collect::<anyhow::Result<Vec<_>>>()?,
    }))
}

fn resume(
    args: &DistillArgs,
    record: &Value,
    family: &Family,
    settings: DistillSettings,
) -> anyhow::Result<(RunFolder, State, Distiller)> {
    let run = RunFolder::resume(&args.out, record, args.allow_mismatch)?;
    let (teacher, student) = (family.teacher().clone(), family.student().clone());
    let Some(saved) = run.newest()? else {
        note("the run has no checkpoint yet: starting at step 0");
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
    note(&format!("resuming after step {}", saved.state.step));
    Ok((run, saved.state, distiller))
}

/// The finished student, in f32, as the reference implementation saves it.
fn write_student(run: &RunFolder, student: &Student, teacher: &ModelFolder) -> anyhow::Result<()> {
    let out = OutputFolder::create(&run.student(), true)?;
    out.write("student_config.json", StudentConfig::of(student.plan()).to_json().as_bytes())?;
    write_fingerprints(&out, &teacher.fingerprint()?)?;
    out.write("model.safetensors", &model_to_bytes(student.model(), Precision::F32)?)?;
    teacher.describe_in(&out, student.model().config())?;
    out.commit().context("writing the student")?;
    print(&format!("student written to {}", run.student().display()));
    Ok(())
}
