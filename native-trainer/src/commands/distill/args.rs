//! The arguments of a distillation, and what they come to.

use std::path::PathBuf;

use boomerang_core::distill::loss::{KlPositions, LossTerm, LossWeights};
use boomerang_core::distill::{DistillSettings, Layout, Part, Reduction, Schedule, UpdateSettings};
use boomerang_core::prune::Student;

use crate::args::numbers::{count, non_negative_f32, positive, sequence_length};
use crate::args::{DeviceArgs, KeepArgs, LossArgs, Preset};
use crate::exit::Exit;

/// Train a student to imitate its teacher
#[derive(Clone, Debug, clap::Args)]
pub struct DistillArgs {
    /// Folder of the teacher (config.json, model.safetensors, tokenizer.json for text), or its id
    /// on the Hub
    #[arg(long, alias = "teacher_model_name_or_path")]
    pub teacher: PathBuf,
    /// Folder of the student, or its id on the Hub; without it, the student is cut out of the
    /// teacher first
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
    /// Texts: .txt, .text or .md, one document a file; .jsonl, .ndjson, .json or .parquet with
    /// "text", or with "input_ids" and optional "attention_mask" and "labels" (-100: not a target);
    /// text also as .gz or .zst; repeatable
    #[arg(long, required = true)]
    pub data: Vec<PathBuf>,
    /// Folder of the run
    #[arg(long)]
    pub out: PathBuf,
    /// Where the other settings start from
    #[arg(long, value_enum, default_value_t = Preset::Default)]
    pub preset: Preset,

    /// Steps of the optimizer
    #[arg(value_parser = count, long, alias = "max_steps", default_value_t = 500)]
    pub steps: usize,
    /// Micro-batches whose gradients make one step
    #[arg(value_parser = count, long, alias = "gradient_accumulation_steps", default_value_t = 1)]
    pub micro_batches: usize,
    /// Rows of a micro-batch
    #[arg(value_parser = count, long, alias = "per_device_train_batch_size", default_value_t = 8)]
    pub rows: usize,
    /// Tokens of a row [default: the model's window, at most 2048]
    #[arg(value_parser = sequence_length, long, alias = "max_length")]
    pub seq_len: Option<usize>,
    /// How documents become rows [default: packed; padded with --preset paper]
    #[arg(long, value_enum)]
    pub packing: Option<PackingChoice>,
    /// Whether the end-of-text token is a label of the cross-entropy [default: learnt; ignored with
    /// --preset paper]
    #[arg(long, value_enum)]
    pub eos_labels: Option<EosChoice>,

    /// Learning rate at its peak
    #[arg(value_parser = positive, long, alias = "learning_rate", default_value_t = 3e-4)]
    pub lr: f64,
    /// Steps of linear warm-up [default: 1 % of the steps]
    #[arg(long, alias = "warmup_steps")]
    pub warmup: Option<usize>,
    #[arg(value_parser = non_negative_f32, long, default_value_t = 0.1)]
    pub weight_decay: f32,
    /// Largest norm of the gradient
    #[arg(value_parser = positive, long, alias = "max_grad_norm", default_value_t = 1.0)]
    pub clip: f64,
    /// Average or sum the gradients of micro-batches [default: mean; sum with --preset paper]
    #[arg(long, value_enum)]
    pub reduce: Option<ReduceChoice>,
    /// Parts that keep the teacher's weights: embedding, head
    #[arg(long, value_enum, value_delimiter = ',')]
    pub freeze: Vec<PartChoice>,

    #[command(flatten)]
    pub loss: LossArgs,
    /// Softening of both distributions in the KL term
    #[arg(value_parser = positive, long, default_value_t = 1.0)]
    pub temperature: f64,
    /// Where the KL term looks [default: valid; all with --preset paper]
    #[arg(long, value_enum)]
    pub kl_positions: Option<KlChoice>,

    /// Save after every so many steps
    #[arg(value_parser = count, long, default_value_t = 50)]
    pub save_every: usize,
    /// Pause, saved, after this many steps in all
    #[arg(value_parser = count, long)]
    pub stop_after: Option<usize>,
    /// Resume the run in --out
    #[arg(long, conflicts_with = "force")]
    pub resume: bool,
    /// Resume with other settings or data than the run was started with, or take a student that was
    /// made from another teacher
    #[arg(long)]
    pub allow_mismatch: bool,
    /// Start over, removing an earlier run in --out
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
pub enum EosChoice {
    /// At the end of every text
    Learnt,
    /// Nowhere, as in the reference implementation, which pads with it
    Ignored,
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

impl DistillArgs {
    /// # Errors
    /// When an argument would leave nothing to do.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.loss.weights.terms().next().is_none() {
            let flags = LossTerm::ALL.map(|term| format!("--{}-weight", term.key()));
            return Err(Exit::Usage.error(format!(
                "every loss term is off; set one of {} above 0",
                flags.join(", ")
            )));
        }
        Ok(())
    }

    /// How documents become rows.
    pub(super) fn layout(&self) -> Layout {
        match (self.packing, self.preset) {
            (Some(PackingChoice::Padded), _) | (None, Preset::Paper) => Layout::Padded,
            (Some(PackingChoice::Packed), _) | (None, Preset::Default) => Layout::Packed,
        }
    }

    /// Whether the end-of-text token is no label, wherever it stands.
    pub(super) fn ignores_eos(&self) -> bool {
        let is_paper = self.preset == Preset::Paper;
        self.eos_labels.map_or(is_paper, |choice| choice == EosChoice::Ignored)
    }

    /// What decides the result, besides models and data.
    pub(super) fn settings(&self, student: &Student) -> DistillSettings {
        let is_paper = self.preset == Preset::Paper;
        let kl_positions = match (self.kl_positions, is_paper) {
            (Some(KlChoice::All), _) | (None, true) => KlPositions::All,
            (Some(KlChoice::Valid), _) | (None, false) => KlPositions::Valid,
        };
        let reduction = match (self.reduce, is_paper) {
            (Some(ReduceChoice::Sum), _) | (None, true) => Reduction::Sum,
            (Some(ReduceChoice::Mean), _) | (None, false) => Reduction::Mean,
        };
        let mut schedule = Schedule::cosine(self.lr, self.steps);
        schedule.warmup_steps = self.warmup.unwrap_or(schedule.warmup_steps);
        let plan = student.plan();
        // The reference derives its pairs from the rule, so a list of layers has only the plan's own.
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
