//! `boomerang report`: results combined into one HTML report.

use std::path::PathBuf;

use crate::args::OutputArgs;
use crate::args::numbers::count;
use crate::exit::Exit;
use crate::files::note_input;
use crate::progress::{note, print};
use boomerang_report::{Import, Report, SizeAxis, Sources};

/// Combine results into an HTML report: curves, tables, comparisons
#[derive(Clone, Debug, clap::Args)]
#[command(mut_arg("out", |arg| arg.help("Output folder: report.html, tables and charts")))]
pub struct ReportArgs {
    /// Output folders of `boomerang eval`
    #[arg(value_name = "EVAL")]
    pub evaluations: Vec<PathBuf>,
    /// analysis.json of `boomerang analyze`, or its folder
    #[arg(long, value_name = "FILE")]
    pub analysis: Option<PathBuf>,
    /// order.json of `boomerang search`; repeatable
    #[arg(long, value_name = "FILE")]
    pub search: Vec<PathBuf>,
    /// lm-evaluation-harness results of another model, with its number of parameters if the file
    /// has none: NAME=results.json or NAME=results.json:1.4B; repeatable
    #[arg(long, value_name = "NAME=FILE[:PARAMS]")]
    pub import: Vec<Import>,
    /// Quantity on the x-axis
    #[arg(long, value_enum, default_value_t = SizeAxis::Params)]
    pub x: SizeAxis,
    /// Metric to report: a mean over tasks (acc) or that of one task (arc_easy:acc_norm) [default:
    /// mean accuracy if available]
    #[arg(long)]
    pub metric: Option<String>,
    /// Number of resamples of the paired bootstrap
    #[arg(
        value_parser = count,
        long = "resamples",
        alias = "draws",
        default_value_t = 2000,
        value_name = "N"
    )]
    pub draws: usize,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Reads the results, and writes the page.
///
/// # Errors
/// Names the file that cannot be used.
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let is_empty = args.evaluations.is_empty()
        && args.import.is_empty()
        && args.search.is_empty()
        && args.analysis.is_none();
    if is_empty {
        return Err(Exit::Usage.error(
            "nothing to report; give output folders of `boomerang eval`, --analysis, --search or \
             --import",
        ));
    }
    let folders = args.evaluations.iter().chain(&args.analysis);
    folders.for_each(|folder| note_input(folder));
    let report = Report::gather(&Sources {
        evaluations: &args.evaluations,
        analysis: args.analysis.as_deref(),
        searches: &args.search,
        imports: &args.import,
        axis: args.x,
        metric: args.metric.as_deref(),
        n_draws: args.draws,
        seed: args.seed,
    })?;
    let out = args.output.folder()?;
    report.write(&out)?;
    let written = out.commit()?;
    for finding in report.findings() {
        print(&format!("- {finding}"));
    }
    for remark in report.notes() {
        note(&format!("note: {remark}"));
    }
    print(&format!("written to {}", written.join("report.html").display()));
    Ok(())
}
