//! The arguments of a distillation, and the settings that follow from them.

use std::path::PathBuf;

use boomerang_core::distill::loss::{KlPositions, LossTerm, LossWeights};
use boomerang_core::distill::{
    DistillSettings, Layout, Part, Reduction, Schedule, StochasticPatching, UpdateSettings,
};
use boomerang_core::plan::LayerPlan;

use super::choices::{
    DivergenceChoice, EosChoice, InitChoice, KlChoice, PackingChoice, PartChoice, ReduceChoice,
    ReportTo,
};
use crate::args::numbers::{
    at_least_two, count, non_negative_f32, positive, probability, sequence_length, share, tokens,
};
use crate::args::{
    ConfigArgs, DeviceArgs, KeepArgs, LeverArgs, LossArgs, OverwriteArgs, Preset, with_presets,
};
use crate::exit::Exit;
use crate::train::guard::GuardSettings;
use crate::train::ranks::Ranks;
use crate::train::run::LoopSettings;

/// Train a student to imitate its teacher
#[derive(Clone, Debug, clap::Args)]
#[command(mut_args(with_presets))]
pub struct DistillArgs {
    /// Teacher: model folder (config.json, model.safetensors, and tokenizer.json for text) or Hub
    /// id
    #[arg(long, alias = "teacher_model_name_or_path")]
    pub teacher: PathBuf,
    /// Student: model folder or Hub id [default: prune the teacher]
    #[arg(long, alias = "student_model_name_or_path")]
    pub student: Option<PathBuf>,
    #[command(flatten)]
    pub keep: KeepArgs,
    /// How to initialize the student's weights
    #[arg(long, value_enum, default_value_t = InitChoice::Copy)]
    pub init: InitChoice,
    /// Seed for random initialization and for --patch-probability
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Training data: .txt, .text or .md, one document per file; .jsonl, .ndjson, .json or .parquet
    /// with "text"; "messages", or "prompt" and "completion" (loss on responses); or "input_ids" and
    /// optional "attention_mask" and "labels" (-100: ignored); also as .gz or .zst; or a folder that
    /// `boomerang data prepare` wrote; repeatable
    #[arg(long, required = true)]
    pub data: Vec<PathBuf>,
    /// How often to read a sequence of each --data, in their order, e.g. 3,1 [default: all sequences
    /// alike]
    #[arg(long, value_delimiter = ',', value_name = "WEIGHTS")]
    pub data_weights: Vec<u64>,
    /// Training data of a second phase under the same schedule, such as responses after raw text;
    /// repeatable
    #[arg(long, value_name = "DATA")]
    pub second_data: Vec<PathBuf>,
    /// With --second-data: share of the steps after which the second phase begins; in a lengthened run
    /// it begins where it did
    #[arg(value_parser = share, long, default_value_t = 0.5, value_name = "SHARE")]
    pub second_from: f64,
    /// Read sequences in an order that this seed decides, another one every epoch [default: the order
    /// of the data]
    #[arg(long, alias = "data_seed", value_name = "SEED")]
    pub shuffle_seed: Option<u64>,
    /// Hold about this many sequences out from training, spread over the data, and measure their loss
    #[arg(value_parser = count, long, value_name = "N")]
    pub held_out: Option<usize>,
    /// Measure the held-out loss every N steps, and at the end [default: 10 times in all]
    #[arg(value_parser = count, long, alias = "eval_steps", requires = "held_out", value_name = "N")]
    pub eval_every: Option<usize>,
    /// Measure also the held-out loss of some sizes of the family every N steps, and at the end: from the
    /// student to the teacher in the architecture's patching order, with the teacher in memory
    #[arg(value_parser = count, long, requires = "held_out", value_name = "N")]
    pub curve_every: Option<usize>,
    /// With --curve-every: how many sizes, spread evenly; each takes about as long as a held-out loss
    #[arg(value_parser = at_least_two, long, default_value_t = 4, value_name = "N")]
    pub curve_sizes: usize,
    /// End the run when N measurements in a row have not improved on the best: of the held-out loss, or
    /// with --curve-every of the mean loss over the sizes
    #[arg(value_parser = count, long, requires = "held_out", value_name = "N")]
    pub patience: Option<usize>,
    /// Keep the checkpoint with the best measurement as checkpoints/best, and write the finished student
    /// from it
    #[arg(long, alias = "load_best_model_at_end", requires = "held_out")]
    pub keep_best: bool,
    /// Run folder: checkpoints, metrics and the finished student
    #[arg(long)]
    pub out: PathBuf,
    /// Set of defaults; explicit flags override them
    #[arg(long, value_enum, default_value_t = Preset::Default)]
    pub preset: Preset,

    /// Train on this many tokens, e.g. 10M, instead of --steps: rounded up to whole steps, padding
    /// included
    #[arg(value_parser = tokens, long, conflicts_with = "steps", value_name = "TOKENS")]
    pub train_tokens: Option<u64>,
    /// Number of optimizer steps, those before a --resume included
    #[arg(value_parser = count, long, alias = "max_steps", default_value = "500")]
    pub steps: Option<usize>,
    /// Accumulate gradients over this many micro-batches per optimizer step
    #[arg(
        value_parser = count,
        long,
        aliases = ["gradient-accumulation-steps", "gradient_accumulation_steps"],
        default_value_t = 1
    )]
    pub micro_batches: usize,
    /// Sequences per micro-batch
    #[arg(
        value_parser = count,
        long = "batch-size",
        aliases = ["rows", "per_device_train_batch_size"],
        default_value_t = 8,
        value_name = "N"
    )]
    pub rows: usize,
    /// Tokens per sequence [default: the model's context length, at most 2048]
    #[arg(value_parser = sequence_length, long, alias = "max_length")]
    pub seq_len: Option<usize>,
    /// How to fit documents into sequences
    #[arg(long, value_enum, default_value_t = PackingChoice::Packed)]
    pub packing: PackingChoice,
    /// Whether the cross-entropy has end-of-text tokens as labels
    #[arg(long, value_enum, default_value_t = EosChoice::Learnt)]
    pub eos_labels: EosChoice,

    /// Peak learning rate
    #[arg(value_parser = positive, long, alias = "learning_rate", default_value_t = 3e-4)]
    pub lr: f64,
    /// Linear warm-up steps [default: 1 % of --steps; a resumed run keeps its own]
    #[arg(long, alias = "warmup_steps")]
    pub warmup: Option<usize>,
    /// Weight decay of AdamW
    #[arg(value_parser = non_negative_f32, long, default_value_t = 0.1)]
    pub weight_decay: f32,
    /// Clip gradients to this global norm
    #[arg(value_parser = positive, long, alias = "max_grad_norm", default_value_t = 1.0)]
    pub clip: f64,
    /// How to combine the gradients of micro-batches
    #[arg(long, value_enum, default_value_t = ReduceChoice::Mean)]
    pub reduce: ReduceChoice,
    /// Freeze these parts: they keep the teacher's weights
    #[arg(long, value_enum, value_delimiter = ',')]
    pub freeze: Vec<PartChoice>,

    #[command(flatten)]
    pub loss: LossArgs,
    /// Temperature of both distributions in the KL term
    #[arg(value_parser = positive, long, default_value_t = 1.0)]
    pub temperature: f64,
    /// Positions that the KL term covers
    #[arg(long, value_enum, default_value_t = KlChoice::Valid)]
    pub kl_positions: KlChoice,
    /// Stochastic patching: replace each block of the student by its teacher layers with this
    /// probability, sampled for every micro-batch, with the teacher in memory; gradients flow through the
    /// teacher layers, which are not trained
    #[arg(value_parser = probability, long, default_value_t = 0.0, value_name = "P")]
    pub patch_probability: f64,

    #[command(flatten)]
    pub levers: LeverArgs,

    /// Print parameters, memory by kind of buffer, disk and arithmetic of the run, and stop before
    /// anything is read or written
    #[arg(long, conflicts_with_all = ["resume", "force"])]
    pub dry_run: bool,
    /// With --dry-run: take this many steps in memory, and predict the time of the run
    #[arg(value_parser = count, long, requires = "dry_run", value_name = "STEPS")]
    pub probe: Option<usize>,

    /// Steps in a row whose loss or gradient is NaN or infinite, or a spike, that are left out before the
    /// run ends
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub max_skipped: usize,
    /// Leave out steps whose loss is this many standard deviations above the mean of the 128 before it
    /// [default: none is]
    #[arg(value_parser = positive, long, value_name = "DEVIATIONS")]
    pub skip_spikes: Option<f64>,
    /// What to do when more steps in a row than --max-skipped were left out
    #[arg(long, value_enum, default_value_t = DivergenceChoice::Stop)]
    pub on_divergence: DivergenceChoice,
    /// Write the metrics also for another tool, into the run folder
    #[arg(long, alias = "report_to", value_enum, default_value_t = ReportTo::None)]
    pub report_to: ReportTo,
    /// Save a checkpoint every N steps
    #[arg(value_parser = count, long, default_value_t = 50)]
    pub save_every: usize,
    /// Save and stop after this many steps in total; resume with --resume
    #[arg(value_parser = count, long)]
    pub stop_after: Option<usize>,
    /// Resume the run in --out; with more --steps it is lengthened, finished or not: the learning rate
    /// then follows the longer schedule
    #[arg(long, conflicts_with = "force")]
    pub resume: bool,
    /// Resume with other settings or data than the run's, or accept a student that was made from
    /// another teacher
    #[arg(long)]
    pub allow_mismatch: bool,
    /// Devices of this kind that share the micro-batches of every step, each with a student and a
    /// teacher of its own
    #[arg(value_parser = count, long, default_value_t = 1, value_name = "N")]
    pub devices: usize,
    #[command(flatten)]
    pub overwrite: OverwriteArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

impl DistillArgs {
    /// # Errors
    /// When an argument would leave nothing to do.
    pub(super) fn check(&self, ranks: Option<&Ranks>) -> anyhow::Result<()> {
        if self.loss.weights.terms().next().is_none() {
            let flags = LossTerm::ALL.map(|term| format!("--{}-weight", term.key()));
            return Err(Exit::Usage.error(format!(
                "all loss weights are 0; set one of {} above 0",
                flags.join(", ")
            )));
        }
        let sharing = match ranks.map(|ranks| ranks.place().n_ranks) {
            None => format!("--devices {}", self.devices),
            Some(_) if self.devices > 1 => {
                return Err(Exit::Usage.error(format!(
                    "--devices {}: each rank of a job takes one device; start more ranks instead",
                    self.devices
                )));
            }
            Some(n_ranks) => format!("{n_ranks} ranks"),
        };
        if ranks.map_or(self.devices, |ranks| ranks.place().n_ranks) > self.micro_batches {
            return Err(Exit::Usage.error(format!(
                "{sharing} share the micro-batches of a step, and there are {}; raise --micro-batches",
                self.micro_batches
            )));
        }
        Ok(())
    }

    /// The size of the run.
    pub(super) fn loop_settings(&self, n_steps: usize) -> LoopSettings {
        LoopSettings {
            total_steps: n_steps,
            micro_batches: self.micro_batches,
            rows: self.rows,
            save_every: self.save_every,
            stop_after: self.stop_after,
            guard: GuardSettings {
                max_skipped: self.max_skipped,
                spike: self.skip_spikes,
                rolls_back: self.on_divergence == DivergenceChoice::Rollback,
            },
            tensorboard: self.report_to == ReportTo::Tensorboard,
        }
    }

    /// How documents become sequences.
    pub(super) fn layout(&self) -> Layout {
        match self.packing {
            PackingChoice::Padded => Layout::Padded,
            PackingChoice::Packed => Layout::Packed,
        }
    }

    /// The steps of the run, on sequences of `seq` tokens.
    pub(crate) fn n_steps(&self, seq: usize) -> usize {
        let of_step = [self.micro_batches, self.rows, seq].map(|n| n as u64);
        let of_step = of_step.into_iter().fold(1, u64::saturating_mul).max(1);
        let of_tokens = self.train_tokens.map(|n_tokens| n_tokens.div_ceil(of_step) as usize);
        // Without tokens, the steps have a default.
        of_tokens.or(self.steps).unwrap_or(1)
    }

    /// Which teacher layers are patched in while the student is trained.
    pub(super) fn patching(&self) -> StochasticPatching {
        StochasticPatching { probability: self.patch_probability, seed: self.seed }
    }

    /// Whether the end-of-text token is never a label.
    pub(super) fn ignores_eos(&self) -> bool {
        self.eos_labels == EosChoice::Ignored
    }

    /// What decides the result, besides models and data.
    pub(super) fn settings(&self, plan: &LayerPlan, n_steps: usize) -> DistillSettings {
        let is_paper = self.preset == Preset::Paper;
        let kl_positions = match self.kl_positions {
            KlChoice::All => KlPositions::All,
            KlChoice::Valid => KlPositions::Valid,
        };
        let reduction = match self.reduce {
            ReduceChoice::Sum => Reduction::Sum,
            ReduceChoice::Mean => Reduction::Mean,
        };
        let mut schedule = Schedule::cosine(self.lr, n_steps);
        schedule.warmup_steps = self.warmup.unwrap_or(schedule.warmup_steps);
        // The reference derives its pairs from the rule, so a list of layers has only the plan's
        // own.
        let alignment = (is_paper && self.keep.keep.is_empty()).then(|| {
            self.keep
                .rule()
                .reference_alignment(plan.n_teacher_layers(), plan.n_student_layers() + 1)
        });
        let frozen = self.freeze.iter().map(|part| match part {
            PartChoice::Embedding => Part::Embedding,
            PartChoice::Head => Part::Head,
        });
        DistillSettings {
            loss: LossWeights { temperature: self.temperature, kl_positions, ..self.loss.weights },
            update: UpdateSettings {
                weight_decay: self.weight_decay,
                clip: self.clip,
                reduction,
                frozen: frozen.collect(),
                ..UpdateSettings::new(schedule)
            },
            alignment,
        }
    }
}
