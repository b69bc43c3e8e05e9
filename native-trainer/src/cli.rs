//! The command line: every command with its arguments, in pipeline order.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use boomerang_core::config::ModelConfig;
use boomerang_core::plan::{KeepRule, LayerPlan, OrderFile, PatchOrder, PlanError};
use boomerang_core::prune::FamilyError;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::device::DeviceChoice;
use crate::exit::{self, Exit};
use crate::files::{self, ModelFolder};
use crate::numbers::count;

/// One distillation, every model size
#[derive(Debug, Parser)]
#[command(name = "boomerang", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole story on the embedded teacher: prune, distill, patch, evaluate, plot
    Demo(commands::demo::DemoArgs),
    /// Train a small teacher from scratch on the generated corpus
    Pretrain(commands::pretrain::PretrainArgs),
    /// Cut a student out of a teacher
    Prune(commands::prune::PruneArgs),
    /// Train a student to imitate its teacher
    Distill(commands::distill::DistillArgs),
    /// Say which layers matter, and which to keep and patch first
    Analyze(commands::analyze::AnalyzeArgs),
    /// Find a good order of patching
    Search(commands::search::SearchArgs),
    /// Write sizes of a family as models of their own
    Patch(commands::patch::PatchArgs),
    /// Write a model as a GGUF file, for llama.cpp
    Export(commands::export::ExportArgs),
    /// Measure every size of a family
    Eval(commands::eval::EvalArgs),
    /// Put measurements together as a page: curves, tables, comparisons
    Report(commands::report::ReportArgs),
    /// Repeat a figure or an ablation of the paper on the embedded family
    Experiment(commands::experiment::ExperimentArgs),
    /// Pack a family for the explorer
    Bundle(commands::bundle::BundleArgs),
    /// Serve the explorer with a bundle from this machine
    Explore(commands::explore::ExploreArgs),
    /// Continue a text
    Generate(commands::generate::GenerateArgs),
    /// Say what a model is, from its headers alone
    Inspect(commands::inspect::InspectArgs),
    /// Check a written size against the family it comes from
    Verify(commands::verify::VerifyArgs),
    /// Write a model's logits and hidden states, to compare with another implementation
    Trace(commands::trace::TraceArgs),
    /// Fetch models from the Hub, and list those that are here
    Hub(commands::hub::HubArgs),
    /// Say what this machine has and which device would be used
    Doctor(commands::doctor::DoctorArgs),
}

/// Which layers of the teacher the student keeps.
#[derive(Args, Clone, Debug)]
pub struct KeepArgs {
    /// Teacher layers the student keeps, e.g. 0,2,4,5; wins over the rule below
    #[arg(long, value_delimiter = ',', value_name = "LAYERS")]
    pub keep: Vec<usize>,
    /// Leading layers kept one by one
    #[arg(long, default_value_t = 1, alias = "first_layers_to_keep", value_name = "N")]
    pub keep_first: usize,
    /// Trailing layers kept one by one
    #[arg(long, default_value_t = 2, alias = "last_layers_to_keep", value_name = "N")]
    pub keep_last: usize,
    /// In between, one layer of every N is kept
    #[arg(value_parser = count, long, default_value_t = 2, alias = "alternate_every_n_layers", value_name = "N")]
    pub keep_every: usize,
}

impl KeepArgs {
    pub fn rule(&self) -> KeepRule {
        KeepRule { first: self.keep_first, last: self.keep_last, every: self.keep_every }
    }

    /// # Errors
    /// [`PlanError`] when the layers do not make a student.
    pub fn plan(&self, n_teacher_layers: usize) -> Result<LayerPlan, PlanError> {
        if self.keep.is_empty() {
            LayerPlan::by_rule(self.rule(), n_teacher_layers)
        } else {
            LayerPlan::keep(&self.keep, n_teacher_layers)
        }
    }
}

/// A teacher, a student, and the order in which the student is patched.
#[derive(Args, Clone, Debug)]
pub struct FamilyArgs {
    /// Folder of the teacher (config.json, model.safetensors), or its id on the Hub
    #[arg(long, alias = "teacher_model_name_or_path")]
    pub teacher: PathBuf,
    /// Folder of the student (also with student_config.json), or its id on the Hub
    #[arg(long, alias = "student_model_name_or_path")]
    pub student: PathBuf,
    /// Teacher layers the student keeps, for a student without student_config.json (DistilGPT2 and
    /// DistilBERT: 0,2,4,7,9,11)
    #[arg(long, value_delimiter = ',', value_name = "LAYERS")]
    pub kept: Vec<usize>,
    /// Which layers are patched first: first, last, student layers such as 3,0,2,1, or the file of
    /// an order such as a search writes (order.json)
    /// [default: what the paper found best for the architecture]
    #[arg(long, value_parser = parse_order)]
    pub order: Option<PatchOrder>,
    /// Continue although the student was made from another teacher, or has another tokenizer
    #[arg(long)]
    pub allow_mismatch: bool,
    /// The reference implementation's word for --order first
    #[arg(long = "patch_first_k_layers", hide = true, conflicts_with = "order")]
    pub from_first: bool,
}

impl FamilyArgs {
    /// The plan that made the student: its own, or the one that `--kept` tells.
    ///
    /// # Errors
    /// When there is neither, the two differ, or the plan is not for this many layers.
    pub fn plan(
        &self,
        own: Option<LayerPlan>,
        n_teacher_layers: usize,
        n_student_layers: usize,
    ) -> anyhow::Result<LayerPlan> {
        let told = (!self.kept.is_empty())
            .then(|| LayerPlan::keep(&self.kept, n_teacher_layers))
            .transpose()?;
        let plan = match (own, told) {
            (Some(own), Some(told)) if own != told => {
                return Err(Exit::Usage.error(format!(
                    "{} keeps the teacher layers {:?} by its own account; --kept has {:?}",
                    self.student.display(),
                    own.kept(),
                    self.kept
                )));
            }
            (own, told) => own.or(told),
        };
        let plan = plan.ok_or_else(|| {
            Exit::Unusable.error(format!(
                "{} does not say which teacher layers its {n_student_layers} layers were made \
                 from (as a folder does in student_config.json, a GGUF file in \
                 boomerang.copied_teacher_layers); name them with --kept",
                self.student.display()
            ))
        })?;
        let (found, expected) = (n_student_layers, plan.n_student_layers());
        if found != expected {
            return Err(FamilyError::StudentLayers { found, expected })
                .with_context(|| self.student.display().to_string());
        }
        if plan.n_teacher_layers() != n_teacher_layers {
            return Err(Exit::Unusable.error(format!(
                "{} is no student of {}: its plan is for a teacher of {} layers, this one has \
                 {n_teacher_layers}",
                self.student.display(),
                self.teacher.display(),
                plan.n_teacher_layers(),
            )));
        }
        Ok(plan)
    }

    /// As [`FamilyArgs::plan`], of these two folders, which are checked to belong together.
    ///
    /// # Errors
    /// As [`FamilyArgs::plan`], when the student's own account of its layers cannot be read, or says
    /// that it was made from another teacher.
    pub fn plan_of(
        &self,
        teacher: &ModelFolder,
        student: &ModelFolder,
    ) -> anyhow::Result<LayerPlan> {
        let plan =
            self.plan(student.plan()?, teacher.config().n_layers(), student.config().n_layers())?;
        // Models of different shapes are refused later, with the number that differs.
        if teacher.config().difference(student.config()).is_none() {
            student.check_teacher(teacher, self.allow_mismatch)?;
        }
        Ok(plan)
    }

    pub fn order(&self, config: &ModelConfig) -> PatchOrder {
        self.asked_order().unwrap_or_else(|| config.architecture.default_order())
    }

    /// The order that was asked for; `None` leaves it to the architecture.
    pub fn asked_order(&self) -> Option<PatchOrder> {
        if self.from_first { Some(PatchOrder::First) } else { self.order.clone() }
    }
}

/// Where to compute.
#[derive(Args, Clone, Copy, Debug)]
pub struct DeviceArgs {
    /// auto takes a real GPU when there is one, else the CPU
    #[arg(long, value_enum, default_value_t = DeviceChoice::Auto)]
    pub device: DeviceChoice,
}

/// A set of defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Correct alignment, averaged gradients, packed documents
    Default,
    /// The reference implementation to the last detail, its quirks included
    Paper,
}

pub(crate) fn parse_order(text: &str) -> Result<PatchOrder, String> {
    match text {
        "first" => Ok(PatchOrder::First),
        "last" => Ok(PatchOrder::Last),
        path if path.ends_with(".json") => {
            let text = files::read_text(Path::new(path)).map_err(|error| exit::describe(&error))?;
            let file = OrderFile::from_json(&text);
            file.map(OrderFile::into_order).map_err(|error| format!("{path}: {error}"))
        }
        _ => {
            let layers: Result<Vec<usize>, _> =
                text.split(',').map(|layer| layer.trim().parse()).collect();
            layers.map(PatchOrder::Found).map_err(|_| {
                "expected first, last, each student layer once, e.g. 3,0,2,1, or an order.json"
                    .to_owned()
            })
        }
    }
}
