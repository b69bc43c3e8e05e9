//! The command line: every command with its arguments, in pipeline order.

use clap::{Parser, Subcommand};

use crate::progress::ProgressFormat;
use crate::{cli_examples as examples, commands};

/// One distillation, every model size
#[derive(Debug, Parser)]
#[command(name = "boomerang", version, about, after_help = examples::OVERVIEW, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// How to write progress on standard error
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = ProgressFormat::Auto,
        value_name = "FORMAT",
        display_order = 900
    )]
    pub progress: ProgressFormat,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole pipeline on the embedded teacher: prune, distill, patch, evaluate, plot
    #[command(after_help = examples::DEMO)]
    Demo(commands::demo::DemoArgs),
    /// Train a small teacher from scratch on the generated corpus
    #[command(after_help = examples::PRETRAIN)]
    Pretrain(commands::pretrain::PretrainArgs),
    /// Tokenize training data once, and inspect or verify what was prepared
    #[command(after_help = examples::DATA)]
    Data(commands::data::DataArgs),
    /// Cut a student out of a teacher
    #[command(after_help = examples::PRUNE)]
    Prune(commands::prune::PruneArgs),
    /// Train a student to imitate its teacher
    #[command(after_help = examples::DISTILL)]
    Distill(Box<commands::distill::DistillArgs>),
    /// Make the student of a post-trained teacher from the student of its base, without training
    #[command(after_help = examples::DELTA)]
    Delta(commands::delta::DeltaArgs),
    /// Show which layers matter, and which to keep and to patch first
    #[command(after_help = examples::ANALYZE)]
    Analyze(commands::analyze::AnalyzeArgs),
    /// Search for a good patching order
    #[command(after_help = examples::SEARCH)]
    Search(commands::search::SearchArgs),
    /// Write sizes of a family as standalone models
    #[command(after_help = examples::PATCH)]
    Patch(commands::patch::PatchArgs),
    /// Convert a model to a GGUF file for llama.cpp
    #[command(after_help = examples::EXPORT)]
    Export(commands::export::ExportArgs),
    /// Evaluate every size of a family
    #[command(after_help = examples::EVAL)]
    Eval(commands::eval::EvalArgs),
    /// Combine results into an HTML report: curves, tables, comparisons
    #[command(after_help = examples::REPORT)]
    Report(commands::report::ReportArgs),
    /// Reproduce a figure or an ablation of the paper on the embedded family
    #[command(after_help = examples::EXPERIMENT)]
    Experiment(commands::experiment::ExperimentArgs),
    /// Pack a family for the explorer
    #[command(after_help = examples::BUNDLE)]
    Bundle(commands::bundle::BundleArgs),
    /// Serve the explorer with a bundle from this machine
    #[command(after_help = examples::EXPLORE)]
    Explore(commands::explore::ExploreArgs),
    /// Collect the answer sheets of the explorer's lessons
    #[command(after_help = examples::LESSONS)]
    Lessons(commands::lessons::LessonsArgs),
    /// Continue a prompt
    #[command(after_help = examples::GENERATE)]
    Generate(commands::generate::GenerateArgs),
    /// Sample texts from a model in batches, as training data
    #[command(after_help = examples::SAMPLE)]
    Sample(commands::sample::SampleArgs),
    /// Describe a model from its file headers
    #[command(after_help = examples::INSPECT)]
    Inspect(commands::inspect::InspectArgs),
    /// Check a patched model against the family it comes from
    #[command(after_help = examples::VERIFY)]
    Verify(commands::verify::VerifyArgs),
    /// Write a model's logits and hidden states, to compare with another implementation
    #[command(after_help = examples::TRACE)]
    Trace(commands::trace::TraceArgs),
    /// Download models from the Hugging Face Hub, and list the cached ones
    #[command(after_help = examples::HUB)]
    Hub(commands::hub::HubArgs),
    /// Show the hardware of this machine and the device that --device auto selects
    #[command(after_help = examples::DOCTOR)]
    Doctor(commands::doctor::DoctorArgs),
}
