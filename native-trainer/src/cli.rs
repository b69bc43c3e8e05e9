//! The command line: every command with its arguments, in pipeline order.

use clap::{Parser, Subcommand};

use crate::commands;

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
