//! `boomerang distill`: train a student to imitate its teacher, resumably.

mod args;
mod dry_run;
mod fit;
mod labels;
mod models;
mod start;

pub use args::{DistillArgs, InitChoice};

use anyhow::Context as _;
use boomerang_core::bundle::hex;
use boomerang_core::checkpoint::{Precision, write_model};
use boomerang_core::distill::{Labels, StepShape};
use boomerang_core::prune::{Student, StudentConfig};
use fit::Fit;
use models::Models;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use start::Start;

use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::files::{self, ModelFolder, OutputFolder, shown, write_fingerprints, write_hashed};
use crate::progress::{note, print};
use crate::train::data::{Packing, read_rows};
use crate::train::run::{Ending, Interrupt, train};
use crate::train::run_folder::{RunFolder, Saved};

pub fn run(args: &DistillArgs) -> anyhow::Result<()> {
    args.check()?;
    let devices = device::choose_several(args.device.device, args.devices)?;
    let device = &devices[0];
    for device in &devices {
        note(&format!("device: {} ({})", device.description, device.reason));
    }
    let models = Models::open(args)?;
    let teacher_folder = &*models.teacher;
    let config = teacher_folder.config();
    let settings = args.settings(&models.plan);
    let seq = args.seq_len.unwrap_or(config.max_seq.min(2048));
    if seq > config.max_seq {
        return Err(Exit::Usage.error(format!(
            "--seq-len {seq} exceeds the teacher's context length of {} tokens",
            config.max_seq
        )));
    }
    let frozen = settings.update.frozen.clone();
    let shape = models.shape(args, &frozen, seq, &device.device);
    let fit = Fit::of(args, &shape, device);
    if args.dry_run {
        dry_run::report(args, &shape, &fit, device);
    }
    if args.dry_run && args.probe.is_none() {
        return Ok(());
    }
    fit.refuse_what_does_not_fit(args, &shape)?;
    fit.note_choice();
    let layout = args.layout();
    let tokenizer = teacher_folder.tokenizer()?;
    let labels = labels::choose(args, teacher_folder, tokenizer.as_ref())?;
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
    // Rows of ids are sequences as they are.
    let longest = rows.rows().iter().map(|row| row.tokens.len()).max().unwrap_or(seq);
    let (shape, fit) = match longest > seq {
        false => (shape, fit),
        true => {
            note(&format!("sequences of input_ids are longer than --seq-len {seq}: {longest}"));
            let shape = StepShape { seq: longest, ..shape };
            let fit = Fit::of(args, &shape, device);
            fit.refuse_what_does_not_fit(args, &shape)?;
            (shape, fit)
        }
    };
    let levers = fit.chosen.levers;
    let loop_settings = args.loop_settings();
    if let Some(n_steps) = args.probe {
        let start = Start { args, models: &models, settings, levers, saved: None };
        let distiller = start.distiller(&device.device)?;
        return dry_run::probe(distiller, n_steps, &rows, loop_settings, &shape, &fit);
    }

    let mut record = json!({
        "command": "distill",
        "teacher": shown(&args.teacher),
        "student": args.student.as_deref().map(shown),
        "kept": models.plan.kept(),
        "init": format!("{:?}", args.init).to_lowercase(),
        "seed": args.seed,
        "data": args.data.iter().map(|path| shown(path)).collect::<Vec<_>>(),
        "n_rows": rows.len(),
        "seq_len": seq,
        "packing": format!("{layout:?}").to_lowercase(),
        "micro_batches": args.micro_batches,
        "rows": args.rows,
        "settings": settings,
        "fingerprints": fingerprints(args, teacher_folder)?,
    });
    if labels != Labels::All {
        record["labels"] = json!(labels);
    }
    let (run, saved) = match args.resume {
        true => resume(args, &record)?,
        false => (RunFolder::create(&args.out, &record, args.overwrite.force)?, None),
    };
    let start = Start { args, models: &models, settings, levers, saved };
    let state = start.state();
    let interrupt = Interrupt::listen()?;
    let (ending, distiller) = start.on_all(&devices, &rows, loop_settings, |distiller| {
        train(distiller, &rows, loop_settings, &run, state.n_tokens, &interrupt)
    })?;
    match ending {
        Ending::Finished => write_student(&run, &distiller.student(), teacher_folder),
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

/// The run to continue, and its newest checkpoint.
fn resume(args: &DistillArgs, record: &Value) -> anyhow::Result<(RunFolder, Option<Saved>)> {
    let run = RunFolder::resume(&args.out, record, args.allow_mismatch)?;
    let saved = run.newest()?;
    match &saved {
        None => note("the run has no checkpoint yet: starting at step 0"),
        Some(saved) => note(&format!("resuming after step {}", saved.state.step)),
    }
    Ok((run, saved))
}

/// The finished student, in f32, as the reference implementation saves it.
fn write_student(run: &RunFolder, student: &Student, teacher: &ModelFolder) -> anyhow::Result<()> {
    let out = OutputFolder::create(&run.student(), true)?;
    out.write("student_config.json", StudentConfig::of(student.plan()).to_json().as_bytes())?;
    write_fingerprints(&out, &teacher.fingerprint()?)?;
    write_hashed(&out, "model.safetensors", |out| {
        write_model(student.model(), Precision::F32, out)
    })?;
    teacher.describe_in(&out, student.model().config())?;
    out.commit().context("writing the student")?;
    print(&format!("student written to {}", run.student().display()));
    Ok(())
}
