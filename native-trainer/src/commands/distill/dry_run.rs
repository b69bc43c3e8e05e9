//! `boomerang distill --dry-run`: what a run takes, before it is started.

use std::time::{Duration, Instant};

use boomerang_core::checkpoint::{Precision, write_model};
use boomerang_core::distill::{Distiller, Rows, StepMemory, StepShape, step_flops};
use futures_lite::future::block_on;

use super::DistillArgs;
use super::fit::{Fit, described, gigabytes, program};
use crate::device::{ChosenDevice, measured_peak};
use crate::exit::Exit;
use crate::memory::peak_memory;
use crate::progress::print;
use crate::train::run::LoopSettings;

/// Prints what follows from sizes alone.
pub(super) fn report(
    args: &DistillArgs,
    n_steps: usize,
    shape: &StepShape<'_>,
    fit: &Fit,
    device: &ChosenDevice,
) {
    let levers = &fit.chosen.levers;
    let memory = StepMemory::of(shape, levers);
    let config = shape.teacher.unwrap_or(shape.student);
    let millions = |n: u64| format!("{:.1} M parameters", n as f64 / 1e6);
    let (of_student, trained) = (shape.student.n_params(), memory.gradients / 4);
    print(&format!("teacher      {} layers, {}", config.n_layers(), millions(config.n_params())));
    print(&format!(
        "student      {} layers, {}, {:.1} M of them trained",
        shape.student.n_layers(),
        millions(of_student),
        trained as f64 / 1e6
    ));
    let n_tokens = (args.micro_batches * args.rows * shape.seq) as u64;
    print(&format!(
        "step         {} × {} × {} = {n_tokens} tokens",
        args.micro_batches, args.rows, shape.seq
    ));
    print(&format!("settings     {}", described(levers)));
    if args.patch_probability > 0.0 {
        print(&format!(
            "patching     each block with probability {}; memory is that of the deepest member, arithmetic \
             the mean",
            args.patch_probability
        ));
    }
    print("");
    print(&format!("memory on {}", device.description));
    let line = |name: &str, n_bytes: u64, place: &str| {
        print(&format!("  {name:<24}{:>10}{place}", gigabytes(n_bytes)));
    };
    for buffer in memory.buffers() {
        let place = if buffer.on_host { "  in the host's memory" } else { "" };
        line(buffer.name, buffer.n_bytes, place);
    }
    line("program and rows", program(args, shape), "");
    let available = match fit.available {
        Some(available) if fit.chosen.n_bytes <= available => {
            format!("fits into {}", gigabytes(available))
        }
        Some(available) => format!("does not fit into {}", gigabytes(available)),
        None => "what is free on a GPU is not known; name it with --memory".to_owned(),
    };
    line("peak", fit.chosen.n_bytes, &format!("  {available}"));
    print("");
    // Two are kept while the next is written.
    let checkpoint = memory.weights + memory.optimizer;
    let best = if args.keep_best { ", the best one" } else { "" };
    print(&format!(
        "disk         {}: checkpoints of {}, two of them kept while a third is written{best}, and the \
         student of {}",
        gigabytes((3 + u64::from(args.keep_best)) * checkpoint + memory.weights),
        gigabytes(checkpoint),
        gigabytes(memory.weights)
    ));
    let flops = step_flops(shape, levers);
    print(&format!(
        "arithmetic   {:.2} GFLOP a token, {:.2} TFLOP a step, {:.3e} FLOP the run of {} steps",
        flops as f64 / 1e9,
        flops as f64 * n_tokens as f64 / 1e12,
        flops as f64 * n_tokens as f64 * n_steps as f64,
        n_steps
    ));
    if args.probe.is_none() {
        print("time         not measured; --probe 10 takes ten steps in memory");
    }
}

/// Takes some steps without writing, and prints what the run will take.
///
/// # Errors
/// When the teacher cannot be read, or the loss is not finite.
pub(super) fn probe(
    mut distiller: Distiller,
    n_steps: usize,
    rows: &Rows,
    settings: LoopSettings,
    shape: &StepShape<'_>,
    fit: &Fit,
) -> anyhow::Result<()> {
    let mut seconds = Vec::new();
    for step in 0..n_steps {
        let started = Instant::now();
        let batches = settings.micro_batches_of(rows, step)?;
        if !block_on(distiller.step(&batches))?.is_finite() {
            return Err(
                Exit::Diverged.error(format!("the loss is not finite at step {}", step + 1))
            );
        }
        seconds.push(started.elapsed().as_secs_f64());
    }
    let started = Instant::now();
    write_model(distiller.student().model(), Precision::F32, &mut std::io::sink())?;
    distiller.write_optimizer_state(&mut std::io::sink())?;
    let saving = started.elapsed().as_secs_f64();
    // The first step makes the moments, and kernels of a GPU.
    let mut settled = if seconds.len() > 1 { seconds[1..].to_vec() } else { seconds };
    settled.sort_by(f64::total_cmp);
    let median = settled[settled.len() / 2];
    let n_saved = settings.total_steps.div_ceil(settings.save_every);
    let total = median * settings.total_steps as f64 + saving * n_saved as f64;
    let n_tokens = (settings.micro_batches * settings.rows * shape.seq) as f64;
    let flops = step_flops(shape, &fit.chosen.levers) as f64 * n_tokens / median;
    print(&format!(
        "time         {} for {} steps: {median:.2} s each ({:.2} to {:.2} in {} steps), {saving:.1} s for \
         each of {n_saved} checkpoints, without the disk",
        duration(total),
        settings.total_steps,
        settled[0],
        settled[settled.len() - 1],
        settled.len()
    ));
    let dtype = fit.chosen.levers.mixed_precision.dtype();
    let of_peak = measured_peak(&distiller.device(), dtype).map(|peak| {
        format!(", {:.0} % of {:.0}, its measured peak", 100.0 * flops / peak, peak / 1e9)
    });
    print(&format!(
        "speed        {:.0} tokens/s, {:.0} GFLOP/s{}",
        n_tokens / median,
        flops / 1e9,
        of_peak.unwrap_or_default()
    ));
    if let Some(peak) = peak_memory() {
        print(&format!(
            "measured     peak of {}, {:.2} of the prediction",
            gigabytes(peak),
            peak as f64 / fit.chosen.n_bytes as f64
        ));
    }
    Ok(())
}

fn duration(seconds: f64) -> String {
    let minutes = Duration::from_secs_f64(seconds).as_secs() / 60;
    match minutes {
        0..2 => format!("{seconds:.0} s"),
        2..120 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}
