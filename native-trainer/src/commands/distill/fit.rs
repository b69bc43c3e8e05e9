//! Whether a step fits into memory, and with which levers.

use boomerang_core::distill::{Levers, MixedPrecision, Part, StepMemory, StepShape, step_flops};

use super::DistillArgs;
use crate::args::{Chosen, Demand};
use crate::device::{self, ChosenDevice};
use crate::exit::Exit;
use crate::memory::Memory;
use crate::progress::note;
use crate::train::status::Arithmetic;

/// The memory that a run may take, and the levers that were chosen for it.
pub(super) struct Fit {
    /// `None` where it is not known.
    pub(super) available: Option<u64>,
    /// Whether `--memory` named it.
    is_named: bool,
    pub(super) chosen: Chosen,
}

/// What a step takes with the program, in bytes.
fn n_bytes(args: &DistillArgs, shape: &StepShape<'_>, levers: &Levers) -> u64 {
    StepMemory::of(shape, levers).total().saturating_add(program(args, shape))
}

/// The program with its tokenizer, and the rows of a step on the host, in bytes.
pub(super) fn program(args: &DistillArgs, shape: &StepShape<'_>) -> u64 {
    const PROGRAM: u64 = 100_000_000;
    /// Id and document of a token, once for the step and once for the part that is computed.
    const PER_TOKEN: u64 = 16;
    let sizes = [args.micro_batches, shape.n_sequences, shape.seq].map(|size| size as u64);
    sizes.into_iter().fold(PER_TOKEN, u64::saturating_mul).saturating_add(PROGRAM)
}

/// What a token takes and what the devices of this machine could do in that time; on the CPU all replicas
/// share one.
pub(super) fn arithmetic(
    shape: &StepShape<'_>,
    levers: &Levers,
    devices: &[ChosenDevice],
) -> Option<Arithmetic> {
    let device = &devices.first()?.device;
    let n_devices = if *device == device::cpu() { 1 } else { devices.len() };
    let peak = device::measured_peak(device, levers.mixed_precision.dtype())?;
    Some(Arithmetic { per_token: step_flops(shape, levers) as f64, peak: peak * n_devices as f64 })
}

impl Fit {
    /// `n_replicas`: on this machine.
    ///
    /// # Errors
    /// When the device does not compute in a precision that is asked for.
    pub(super) fn of(
        args: &DistillArgs,
        shape: &StepShape<'_>,
        device: &ChosenDevice,
        n_replicas: usize,
    ) -> anyhow::Result<Self> {
        let is_gpu = device.device != device::cpu();
        // How much of a GPU's memory is free is not known before it is full.
        let free = || Memory::of_this_machine().filter(|_| !is_gpu).map(|memory| memory.free_bytes);
        let available = args.levers.memory.or_else(free);
        let supports = |half: MixedPrecision| device.device.supports_dtype(half.dtype());
        let demand = Demand {
            mixed_precision: args.levers.mixed_precision(is_gpu, supports)?,
            available,
            is_gpu,
            n_micro_batches: args.micro_batches,
            n_sequences: shape.n_sequences,
            seq: shape.seq,
        };
        // On the CPU all replicas share its memory.
        let n_replicas = if is_gpu { 1 } else { n_replicas as u64 };
        let chosen = args
            .levers
            .choose(demand, |levers| n_bytes(args, shape, levers).saturating_mul(n_replicas));
        Ok(Self { available, is_named: args.levers.memory.is_some(), chosen })
    }

    /// Says which levers `auto` has chosen where memory would be short without them.
    pub(super) fn note_choice(&self) {
        let Chosen { levers, n_bytes, otherwise } = self.chosen;
        if n_bytes < otherwise {
            note(&format!(
                "{}: a step needs about {} instead of {}",
                described(&levers),
                gigabytes(n_bytes),
                gigabytes(otherwise)
            ));
        }
    }

    /// # Errors
    /// When the step does not fit with any levers: names three ways out.
    pub(super) fn refuse_what_does_not_fit(
        &self,
        args: &DistillArgs,
        shape: &StepShape<'_>,
    ) -> anyhow::Result<()> {
        let needed = self.chosen.n_bytes;
        let Some(available) = self.available.filter(|&available| needed > available) else {
            return Ok(());
        };
        let there_are = if self.is_named { "--memory allows" } else { "there are" };
        let mut ways = Vec::new();
        ways.extend(smaller_batch(args, shape, &self.chosen.levers, available));
        let frozen = [shape.frozen, &[Part::Embedding]].concat();
        let of_frozen =
            n_bytes(args, &StepShape { frozen: &frozen, ..*shape }, &self.chosen.levers);
        if !shape.frozen.contains(&Part::Embedding) {
            ways.push(format!("--freeze embedding ({})", gigabytes(of_frozen)));
        }
        if args.student.is_none() {
            ways.push("fewer layers (--keep-every)".to_owned());
        }
        let or_else = match self.is_named {
            true => format!("--memory {:.0}GB", (needed as f64 / 1e9).ceil()),
            false => format!(
                "a machine with {} free; --memory {:.0}GB tries it here",
                gigabytes(needed),
                (needed as f64 / 1e9).ceil()
            ),
        };
        Err(Exit::OutOfMemory.error(format!(
            "a step needs about {}, {there_are} {}: {}, or {or_else}",
            gigabytes(needed),
            gigabytes(available),
            ways.join(", or ")
        )))
    }
}

/// The largest batch that fits: fewer sequences, then shorter ones.
fn smaller_batch(
    args: &DistillArgs,
    shape: &StepShape<'_>,
    levers: &Levers,
    available: u64,
) -> Option<String> {
    /// Shorter sequences teach a language model little.
    const SHORTEST: usize = 64;
    let mut smaller = *shape;
    while n_bytes(args, &smaller, levers) > available {
        if smaller.n_sequences > 1 {
            smaller.n_sequences /= 2;
        } else if smaller.seq / 2 >= SHORTEST {
            smaller.seq /= 2;
        } else {
            return None;
        }
    }
    let needed = gigabytes(n_bytes(args, &smaller, levers));
    Some(format!("--batch-size {} --seq-len {} ({needed})", smaller.n_sequences, smaller.seq))
}

/// In words.
pub(super) fn described(levers: &Levers) -> String {
    let teacher = match (levers.streams_teacher, levers.parts_per_pass) {
        (false, _) => "the teacher in memory".to_owned(),
        (true, 1) => "the teacher streamed from its file for every part".to_owned(),
        (true, n) => format!("the teacher streamed from its file for every {n} parts"),
    };
    let layers = match levers.recomputes {
        true => "layers recomputed in the backward pass",
        false => "activations kept",
    };
    let optimizer =
        if levers.optimizer_on_host { ", the optimizer in the host's memory" } else { "" };
    let parts = match levers.sequences_per_part {
        1 => "1 sequence at a time".to_owned(),
        n => format!("{n} sequences at a time"),
    };
    let products = match levers.mixed_precision {
        MixedPrecision::Off => "",
        MixedPrecision::Bf16 => ", products in bf16",
        MixedPrecision::F16 => ", products in f16",
    };
    format!("{parts}, {layers}, {teacher}{optimizer}{products}")
}

pub(super) fn gigabytes(n_bytes: u64) -> String {
    let gigabytes = n_bytes as f64 / 1e9;
    if gigabytes < 10.0 { format!("{gigabytes:.2} GB") } else { format!("{gigabytes:.1} GB") }
}
