//! What a step of training trades for memory.

use std::cmp::Reverse;

use boomerang_core::distill::{Levers, MixedPrecision};
use clap::{Args, ValueEnum};

use super::numbers::{count, parse_bytes};
use crate::exit::Exit;

/// Levers between memory and time; the result is the same for all of them, but for rounding.
#[derive(Args, Clone, Copy, Debug)]
pub struct LeverArgs {
    /// Memory that training may take, e.g. 24GB; `auto` settings are chosen to fit [default: what is
    /// free; unknown on a GPU]
    #[arg(long, value_parser = parse_bytes, value_name = "SIZE")]
    pub memory: Option<u64>,
    /// Multiply matrices in half precision, as torch.autocast does, with weights, sums, losses and the
    /// optimizer in f32: auto is bf16 on CUDA and Metal, f16 where a GPU's shaders have it, off on the
    /// CPU; f16 scales the loss
    #[arg(long, alias = "mixed_precision", value_enum, default_value_t = MixedPrecisionChoice::Off)]
    pub mixed_precision: MixedPrecisionChoice,
    /// Recompute each layer in the backward pass instead of keeping its intermediate results: less
    /// memory, about a fifth more time
    #[arg(long, value_enum, default_value_t = Recompute::Auto)]
    pub recompute: Recompute,
    /// Where the teacher's layers are: in memory, or read from their file for every pass
    #[arg(long, value_enum, default_value_t = TeacherWeights::Auto)]
    pub teacher_weights: TeacherWeights,
    /// Where the moments of AdamW are, and the weights are updated
    #[arg(long, value_enum, default_value_t = OptimizerPlace::Auto)]
    pub optimizer: OptimizerPlace,
    /// Sequences of a micro-batch that are computed together, with the same result [default: 1,024
    /// tokens on the CPU; on a GPU all, or 1 if memory would be short otherwise]
    #[arg(value_parser = count, long, value_name = "N")]
    pub sequences_per_part: Option<usize>,
    /// Parts of micro-batches that share a pass over the layers of a streamed teacher [default: as
    /// many as keep 0.25 GB of its states, on a GPU 1 GB]
    #[arg(value_parser = count, long, value_name = "N")]
    pub parts_per_pass: Option<usize>,
    /// Positions whose logits are computed together
    #[arg(value_parser = count, long, default_value_t = Levers::default().head_chunk, value_name = "N")]
    pub head_chunk: usize,
    /// Queries whose attention scores are computed together
    #[arg(value_parser = count, long, default_value_t = Levers::default().query_block, value_name = "N")]
    pub query_block: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MixedPrecisionChoice {
    /// f32
    #[value(alias = "no")]
    Off,
    /// What the device has
    Auto,
    Bf16,
    #[value(alias = "fp16")]
    F16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Recompute {
    /// If memory would be short otherwise
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TeacherWeights {
    /// Streamed if memory would be short otherwise
    Auto,
    /// All layers in memory
    Resident,
    /// One layer in memory, the next being read
    Streamed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OptimizerPlace {
    /// In the host's memory if a GPU's would be short otherwise
    Auto,
    /// With the weights
    Device,
    /// In the host's memory: gradients and weights are moved there and back in every step
    Host,
}

/// What levers are chosen for.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// Bytes that may be taken; `None` where that is not known.
    pub available: Option<u64>,
    /// Reading the teacher for every pass costs a CPU less than recomputing layers, and a GPU more.
    pub is_gpu: bool,
    pub n_micro_batches: usize,
    /// Of a micro-batch.
    pub n_sequences: usize,
    /// Positions of each.
    pub seq: usize,
    /// Chosen before, as it changes results.
    pub mixed_precision: MixedPrecision,
}

/// Levers, and what a step takes with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub levers: Levers,
    pub n_bytes: u64,
    /// What a step would take without those that `auto` has chosen.
    pub otherwise: u64,
}

/// Tokens that keep the cores of a CPU busy; more of them need more memory and save no time.
const CPU_TOKENS: usize = 1024;

/// States of a streamed teacher that wait for their part of a micro-batch, in bytes: a pass costs a GPU
/// more than it costs a CPU.
const WAITING_STATES: [u64; 2] = [250_000_000, 1_000_000_000];

impl LeverArgs {
    /// The half-precision type to compute in; `supports` says whether the device multiplies matrices of a
    /// type.
    ///
    /// # Errors
    /// When the one that is asked for is not supported.
    pub fn mixed_precision(
        &self,
        is_gpu: bool,
        supports: impl Fn(MixedPrecision) -> bool,
    ) -> anyhow::Result<MixedPrecision> {
        let asked = match self.mixed_precision {
            MixedPrecisionChoice::Off => return Ok(MixedPrecision::Off),
            MixedPrecisionChoice::Auto => {
                let all = [MixedPrecision::Bf16, MixedPrecision::F16];
                let found = all.into_iter().find(|&half| is_gpu && supports(half));
                return Ok(found.unwrap_or(MixedPrecision::Off));
            }
            MixedPrecisionChoice::Bf16 => MixedPrecision::Bf16,
            MixedPrecisionChoice::F16 => MixedPrecision::F16,
        };
        if !supports(asked) {
            let name = format!("{asked:?}").to_lowercase();
            return Err(Exit::Usage.error(format!(
                "--mixed-precision {name}: the device does not compute in {name}; auto takes what it has"
            )));
        }
        Ok(asked)
    }

    /// The cheapest levers whose step fits, else those with the least memory; `n_bytes` is what a step
    /// takes with given ones. Where the available memory is not known, layers are recomputed.
    pub fn choose(&self, demand: Demand, n_bytes: impl Fn(&Levers) -> u64) -> Chosen {
        let mut candidates: Vec<Levers> = (0..16)
            .map(|bits| [8, 4, 2, 1].map(|bit| bits & bit > 0))
            .map(|choice| self.levers(choice, demand, &n_bytes))
            .filter(|levers| self.allows(levers, demand))
            .collect();
        // In order of what they cost.
        candidates.sort_by_key(|levers| {
            let [first, second] = match demand.is_gpu {
                true => [levers.streams_teacher, levers.recomputes],
                false => [levers.recomputes, levers.streams_teacher],
            };
            (levers.optimizer_on_host, first, second, Reverse(levers.sequences_per_part))
        });
        let otherwise = candidates.first().map_or(0, &n_bytes);
        let fits = |levers: &&Levers| match demand.available {
            Some(available) => n_bytes(levers) <= available,
            None => levers.recomputes || self.recompute == Recompute::Never,
        };
        let least = candidates.iter().min_by_key(|levers| n_bytes(levers));
        let levers = candidates.iter().find(fits).or(least).copied().unwrap_or_default();
        Chosen { levers, n_bytes: n_bytes(&levers), otherwise }
    }

    /// Whether nothing else was asked for.
    fn allows(&self, levers: &Levers, demand: Demand) -> bool {
        let recompute = if levers.recomputes { Recompute::Always } else { Recompute::Never };
        let teacher = if levers.streams_teacher {
            TeacherWeights::Streamed
        } else {
            TeacherWeights::Resident
        };
        let optimizer =
            if levers.optimizer_on_host { OptimizerPlace::Host } else { OptimizerPlace::Device };
        // On the CPU both places are one.
        let is_of_use = demand.is_gpu || !levers.optimizer_on_host;
        (self.recompute == Recompute::Auto || self.recompute == recompute)
            && (self.teacher_weights == TeacherWeights::Auto || self.teacher_weights == teacher)
            && (self.optimizer == optimizer || self.optimizer == OptimizerPlace::Auto && is_of_use)
    }

    fn levers(
        &self,
        [optimizer_on_host, recomputes, streams_teacher, splits]: [bool; 4],
        demand: Demand,
        n_bytes: &impl Fn(&Levers) -> u64,
    ) -> Levers {
        let Demand { available, is_gpu, n_micro_batches, n_sequences, seq, .. } = demand;
        let usual = if is_gpu { n_sequences } else { (CPU_TOKENS / seq.max(1)).min(n_sequences) };
        let together = if splits { 1 } else { usual.max(1) };
        let sequences_per_part =
            self.sequences_per_part.unwrap_or(together).min(n_sequences.max(1));
        let with = |parts_per_pass| Levers {
            recomputes,
            head_chunk: self.head_chunk,
            query_block: self.query_block,
            streams_teacher,
            optimizer_on_host,
            sequences_per_part,
            parts_per_pass,
            mixed_precision: demand.mixed_precision,
        };
        // The states of a teacher in memory need not wait.
        let wanted = if streams_teacher { self.parts_per_pass } else { Some(1) };
        with(wanted.unwrap_or_else(|| {
            let of_one = n_bytes(&with(2)).saturating_sub(n_bytes(&with(1)));
            let waiting = WAITING_STATES[usize::from(is_gpu)];
            let left = available.map_or(waiting, |available| {
                available.saturating_sub(n_bytes(&with(1))).min(waiting)
            });
            let n_more = usize::try_from(left / of_one.max(1)).unwrap_or(usize::MAX);
            let n_parts = n_micro_batches.saturating_mul(n_sequences.div_ceil(sequences_per_part));
            n_more.saturating_add(1).min(n_parts.max(1))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTO: LeverArgs = LeverArgs {
        memory: None,
        mixed_precision: MixedPrecisionChoice::Off,
        recompute: Recompute::Auto,
        teacher_weights: TeacherWeights::Auto,
        optimizer: OptimizerPlace::Auto,
        sequences_per_part: None,
        parts_per_pass: None,
        head_chunk: 1,
        query_block: 1,
    };

    const DEMAND: Demand = Demand {
        available: None,
        is_gpu: true,
        n_micro_batches: 1,
        n_sequences: 1,
        seq: 64,
        mixed_precision: MixedPrecision::Off,
    };

    #[test]
    fn half_precision_is_what_the_device_has() {
        use MixedPrecision::{Bf16, F16, Off};
        let chosen = |choice, is_gpu, has: &[MixedPrecision]| {
            let args = LeverArgs { mixed_precision: choice, ..AUTO };
            args.mixed_precision(is_gpu, |half| has.contains(&half)).ok()
        };
        use MixedPrecisionChoice as Choice;
        assert_eq!(chosen(Choice::Off, true, &[F16, Bf16]), Some(Off));
        assert_eq!(chosen(Choice::Auto, true, &[F16, Bf16]), Some(Bf16));
        assert_eq!(chosen(Choice::Auto, true, &[F16]), Some(F16));
        assert_eq!(chosen(Choice::Auto, false, &[F16, Bf16]), Some(Off));
        assert_eq!(chosen(Choice::F16, false, &[F16]), Some(F16));
        assert_eq!(chosen(Choice::Bf16, true, &[F16]), None);
    }

    /// 100 bytes for activations or 50 without, 30 for the teacher or 10, 20 for the optimizer or none,
    /// and those of states.
    fn n_bytes(levers: &Levers) -> u64 {
        let activations = if levers.recomputes { 50 } else { 100 };
        let teacher = if levers.streams_teacher { 10 } else { 30 };
        let optimizer = if levers.optimizer_on_host { 0 } else { 20 };
        activations + teacher + optimizer + 400_000_000 * (levers.parts_per_pass as u64 - 1)
    }

    /// Layers recomputed, teacher streamed, optimizer on the host.
    fn chosen(args: LeverArgs, available: Option<u64>, is_gpu: bool) -> [bool; 3] {
        let demand = Demand { available, is_gpu, ..DEMAND };
        let levers = args.choose(demand, n_bytes).levers;
        [levers.recomputes, levers.streams_teacher, levers.optimizer_on_host]
    }

    #[test]
    fn the_cheapest_levers_that_fit_are_chosen() {
        let [no, yes] = [false, true];
        for (available, cpu, gpu) in [
            (150, [no, no, no], [no, no, no]),
            (149, [no, yes, no], [yes, no, no]),
            (129, [yes, no, no], [yes, no, no]),
            (99, [yes, yes, no], [yes, yes, no]),
            (79, [yes, yes, no], [yes, yes, yes]),
            // Nothing fits.
            (1, [yes, yes, no], [yes, yes, yes]),
        ] {
            assert_eq!(chosen(AUTO, Some(available), false), cpu, "{available}");
            assert_eq!(chosen(AUTO, Some(available), true), gpu, "{available}");
        }
    }

    #[test]
    fn what_is_asked_for_is_not_changed() {
        let never = LeverArgs { recompute: Recompute::Never, ..AUTO };
        assert_eq!(chosen(never, Some(1), true), [false, true, true]);
        let resident = LeverArgs { teacher_weights: TeacherWeights::Resident, ..AUTO };
        assert_eq!(chosen(resident, Some(1), false), [true, false, false]);
        let all = LeverArgs {
            recompute: Recompute::Always,
            teacher_weights: TeacherWeights::Streamed,
            optimizer: OptimizerPlace::Host,
            ..AUTO
        };
        assert_eq!(chosen(all, Some(1000), false), [true; 3]);
    }

    #[test]
    fn layers_are_recomputed_where_memory_is_not_known() {
        assert_eq!(chosen(AUTO, None, true), [true, false, false]);
        let never = LeverArgs { recompute: Recompute::Never, ..AUTO };
        assert_eq!(chosen(never, None, true), [false, false, false]);
    }

    #[test]
    fn as_many_parts_share_a_pass_as_keep_few_states() {
        let streamed = LeverArgs { teacher_weights: TeacherWeights::Streamed, ..AUTO };
        let together = |args: LeverArgs, available, n_micro_batches| {
            let available = Some(available);
            let demand = Demand { available, n_micro_batches, ..DEMAND };
            args.choose(demand, n_bytes).levers.parts_per_pass
        };
        let much = 10_000_000_000;
        assert_eq!([together(streamed, much, 16), together(streamed, much, 2)], [3, 2]);
        assert_eq!([together(streamed, 500_000_000, 16), together(streamed, 1, 16)], [2, 1]);
        let asked = LeverArgs { parts_per_pass: Some(5), ..streamed };
        assert_eq!(together(asked, 1, 16), 5);
        assert_eq!(together(AUTO, much, 16), 1);
    }

    #[test]
    fn a_micro_batch_is_computed_in_parts() {
        let per_part = |args: LeverArgs, is_gpu, seq| {
            let available = Some(1 << 40);
            let demand = Demand { available, is_gpu, n_sequences: 8, seq, ..DEMAND };
            args.choose(demand, n_bytes).levers.sequences_per_part
        };
        assert_eq!([256, 1024, 4096].map(|seq| per_part(AUTO, false, seq)), [4, 1, 1]);
        assert_eq!([256, 4096].map(|seq| per_part(AUTO, true, seq)), [8, 8]);
        let asked = LeverArgs { sequences_per_part: Some(3), ..AUTO };
        assert_eq!([false, true].map(|is_gpu| per_part(asked, is_gpu, 256)), [3, 3]);
    }
}
