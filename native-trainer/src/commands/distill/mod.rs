//! `boomerang distill`: train a student to imitate its teacher, resumably.

mod args;
mod card;
mod choices;
mod dry_run;
mod finish;
mod fit;
mod labels;
mod measure;
mod models;
mod record;
mod resume;
mod start;

pub use args::DistillArgs;
pub use choices::InitChoice;

use boomerang_core::distill::{Labels, StepShape};
use card::Card;
use fit::Fit;
use models::Models;
use record::{Facts, record};
use resume::{Earlier, checkpoint_of_first, first_steps as first_steps_of, resume};
use serde_json::json;
use start::Start;

use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::progress::{self, note, print};
use crate::train::data::{Packing, Reading, read_sources};
use crate::train::interrupt::Interrupt;
use crate::train::ranks::Ranks;
use crate::train::run::{Ending, Training, train};
use crate::train::run_folder::RunFolder;

pub fn run(args: &DistillArgs) -> anyhow::Result<()> {
    let ranks = Ranks::join()?;
    let ranks = ranks.as_ref();
    args.check(ranks)?;
    if ranks.is_some_and(|ranks| !ranks.is_first()) {
        progress::mute();
    }
    let numbers = match ranks.map(Ranks::place) {
        None => 0..args.devices,
        Some(place) => {
            note(&format!("{} ranks share the micro-batches of every step", place.n_ranks));
            place.local..place.local + 1
        }
    };
    let devices = device::choose_several(args.device.device, numbers)?;
    let device = &devices[0];
    for device in &devices {
        note(&format!("device: {} ({})", device.description, device.reason));
    }
    let models = Models::open(args)?;
    let teacher_folder = &*models.teacher;
    let config = teacher_folder.config();
    let seq = args.seq_len.unwrap_or(config.max_seq.min(2048));
    if seq > config.max_seq {
        return Err(Exit::Usage.error(format!(
            "--seq-len {seq} exceeds the teacher's context length of {} tokens",
            config.max_seq
        )));
    }
    let n_steps = args.n_steps(seq);
    if let Some(n_tokens) = args.train_tokens {
        note(&format!("{n_tokens} tokens are {n_steps} steps"));
    }
    let earlier = Earlier::of(args)?;
    let mut settings = args.settings(&models.plan, n_steps);
    if let Some(earlier) = &earlier {
        earlier.keep_warmup(args, &mut settings);
    }
    let frozen = settings.update.frozen.clone();
    models.propose_frozen_ends(args, &frozen);
    let shape = models.shape(args, &frozen, seq, &device.device);
    let n_replicas = ranks.map_or(args.devices, |ranks| ranks.place().n_local);
    let fit = Fit::of(args, &shape, device, n_replicas)?;
    measure::check(args, &fit.chosen.levers)?;
    if args.dry_run {
        dry_run::report(args, n_steps, &shape, &fit, device);
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
    let template = teacher_folder.chat_template()?;
    let reading = Reading {
        tokenizer: tokenizer.as_ref(),
        template: template.as_ref(),
        packing,
        model: config,
    };
    let of_tokenizer = || teacher_folder.tokenizer_fingerprint();
    let rows = read_sources(&args.data, &args.data_weights, reading, of_tokenizer)
        .or_exit(Exit::Unusable)?
        .labelled(labels);
    let (mut rows, held_out) = measure::split(args, rows)?;
    let first_steps = earlier.as_ref().and_then(Earlier::first_steps);
    let first_steps = first_steps.unwrap_or_else(|| first_steps_of(n_steps, args.second_from));
    if !args.second_data.is_empty() {
        let second = read_sources(&args.second_data, &[], reading, of_tokenizer);
        let second = second.or_exit(Exit::Unusable)?;
        let second = args.shuffle_seed.map_or(second.clone(), |seed| second.shuffled(seed));
        rows = rows.then(first_steps * args.micro_batches * args.rows, second);
    }
    let measurements =
        held_out.map(|rows| measure::measurements(args, &rows, &models, n_steps)).transpose()?;
    labels::check(args, n_steps, &rows)?;
    // Rows of ids are sequences as they are.
    let longest = rows.longest();
    let (shape, fit) = match longest > seq {
        false => (shape, fit),
        true => {
            note(&format!("sequences of input_ids are longer than --seq-len {seq}: {longest}"));
            let shape = StepShape { seq: longest, ..shape };
            let fit = Fit::of(args, &shape, device, n_replicas)?;
            fit.refuse_what_does_not_fit(args, &shape)?;
            (shape, fit)
        }
    };
    let levers = fit.chosen.levers;
    let loop_settings = args.loop_settings(n_steps);
    if let Some(n_steps) = args.probe {
        let start = Start { args, models: &models, settings, levers, saved: None, ranks };
        let distiller = start.replica(&device.device)?;
        return dry_run::probe(distiller, n_steps, &rows, loop_settings, &shape, &fit);
    }

    let facts = Facts {
        models: &models,
        settings: &settings,
        rows: &rows,
        packing,
        labels,
        mixed_precision: levers.mixed_precision,
        first_steps,
    };
    let record = record(args, &facts)?;
    if let Some(ranks) = ranks {
        // What decides the steps that are taken, but not the settings that a run is bound to.
        let of_ranks = json!({"settings": record, "max_skipped": args.max_skipped,
            "rolls_back": loop_settings.guard.rolls_back, "steps": n_steps,
            "stop_after": args.stop_after});
        ranks.agree(&of_ranks)?;
    }
    let interrupt = Interrupt::listen()?;
    if ranks.is_some_and(|ranks| !ranks.is_first()) {
        let saved = checkpoint_of_first(args)?;
        let start = Start { args, models: &models, settings, levers, saved, ranks };
        return start.follow(&device.device, &rows, loop_settings, &interrupt);
    }
    let (run, saved) = match args.resume {
        true => resume(args, earlier.as_ref(), &record)?,
        false => (RunFolder::create(&args.out, &record, args.overwrite.force)?, None),
    };
    if !args.config.resolved.is_empty() {
        run.write_config(&args.config.resolved)?;
    }
    let start = Start { args, models: &models, settings, levers, saved, ranks };
    let (state, rollback) = (start.state(), start.rollback(&device.device));
    // Of several machines the others' peak is not known.
    let arithmetic = match ranks {
        None => fit::arithmetic(&shape, &levers, &devices),
        Some(_) => None,
    };
    let (ending, distiller) = start.on_all(&devices, &rows, loop_settings, |distiller| {
        let training = Training {
            rows: &rows,
            settings: loop_settings,
            measurements: measurements.as_ref(),
            run: &run,
            rollback: &rollback,
            interrupt: &interrupt,
            arithmetic,
        };
        train(distiller, &training, state)
    })?;
    match ending {
        Ending::Finished => {
            let best = finish::best(args, &run)?;
            let n_steps = best.as_ref().map_or(distiller.n_steps(), |best| best.state.step);
            let student = match &best {
                None => distiller.student(),
                Some(best) => {
                    // Its memory is for the other student.
                    drop(distiller);
                    models.saved_student(best, &device.device)?
                }
            };
            let card = Card {
                record: &record,
                flags: &args.config.resolved,
                n_teacher_layers: config.n_layers(),
                n_params: student.model().n_params(),
                n_steps,
            };
            finish::write_student(&run, &student, teacher_folder, &card)?;
            finish::report(&run, measurements.as_ref().map(|what| what.best), best.as_ref());
            Ok(())
        }
        Ending::Paused { interrupted } => {
            print(&format!(
                "paused after {} of {} steps; resume with the same command and --resume",
                distiller.n_steps(),
                n_steps
            ));
            if interrupted {
                return Err(anyhow::anyhow!("interrupted; the run is saved"))
                    .or_exit(Exit::Interrupted);
            }
            Ok(())
        }
    }
}
