//! What a run holds out from training, and measures on it.

use boomerang_core::distill::{Levers, Rows};

use super::DistillArgs;
use super::models::Models;
use crate::exit::Exit;
use crate::progress::note;
use crate::train::best::{BestSettings, Measure};
use crate::train::curve::CurveProbe;
use crate::train::held_out::HeldOut;
use crate::train::measurements::Measurements;

/// Members share the layers of a teacher in memory; reading them once per member from its file would
/// cost more than the steps between.
///
/// # Errors
/// When members are measured or trained, and the teacher is streamed.
pub(super) fn check(args: &DistillArgs, levers: &Levers) -> anyhow::Result<()> {
    let patching = (args.patch_probability > 0.0).then_some(args.patch_probability);
    let asked = [
        args.curve_every.map(|every| ("--curve-every", every.to_string())),
        patching.map(|probability| ("--patch-probability", probability.to_string())),
    ];
    let asked = asked.into_iter().flatten().next().filter(|_| levers.streams_teacher);
    let Some((flag, value)) = asked else { return Ok(()) };
    Err(Exit::Usage.error(format!(
        "{flag} {value} needs the teacher in memory, to patch its layers into members, and here it is \
         streamed from its file, by --teacher-weights streamed or because memory is short; add \
         --teacher-weights resident, or omit {flag}"
    )))
}

/// The sequences to train on, in their order, and those that are held out.
///
/// # Errors
/// When too few are left, or none is held out.
pub(super) fn split(args: &DistillArgs, rows: Rows) -> anyhow::Result<(Rows, Option<Rows>)> {
    let Some(n_held_out) = args.held_out else {
        return Ok((args.shuffle_seed.map_or(rows.clone(), |seed| rows.shuffled(seed)), None));
    };
    let rows_before = rows.len();
    let every = rows_before / n_held_out;
    if every < 2 {
        return Err(Exit::Unusable.error(format!(
            "--held-out {n_held_out} leaves less than half of the {} sequences to train on; hold out \
             fewer, or give more data",
            rows.len()
        )));
    }
    let (trained, held_out) = rows.hold_out(every);
    if held_out.is_empty() {
        return Err(Exit::Unusable.error(format!(
            "--held-out {n_held_out}: no source has {every} sequences, of which one would be held out; \
             hold out more, or put the files together"
        )));
    }
    note(&format!("{} of {} sequences are held out", held_out.len(), rows_before));
    let trained = args.shuffle_seed.map_or(trained.clone(), |seed| trained.shuffled(seed));
    Ok((trained, Some(held_out.by_length())))
}

/// What is measured on the held-out sequences of a run of `n_steps`.
///
/// # Errors
/// When a sequence cannot be read.
pub(super) fn measurements(
    args: &DistillArgs,
    held_out: &Rows,
    models: &Models,
    n_steps: usize,
) -> anyhow::Result<Measurements> {
    let every = args.eval_every.unwrap_or_else(|| n_steps.div_ceil(10));
    let order = models.teacher.config().architecture.default_order();
    let curve = args
        .curve_every
        .map(|every| CurveProbe::new(&models.plan, &order, args.curve_sizes, every))
        .transpose()?;
    let measure = match curve {
        Some(_) => Measure::CurveArea,
        None => Measure::HeldOutLoss,
    };
    let best = BestSettings { measure, patience: args.patience, keeps: args.keep_best };
    Ok(Measurements { held_out: HeldOut::new(held_out, args.rows, every)?, curve, best })
}
