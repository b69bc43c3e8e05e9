//! `boomerang report`: measurements put together as one page.

use std::path::PathBuf;

use crate::args::numbers::count;
use crate::exit::Exit;
use crate::files::{OutputFolder, note_input};
use crate::progress::{print, tell};
use boomerang_report::{Import, Report, SizeAxis, Sources};

/// Put measurements together as a page: curves, tables, comparisons
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    /// Folders that `boomerang eval` wrote
    #[arg(value_name = "EVAL")]
    pub evaluations: Vec<PathBuf>,
    /// analysis.json that `boomerang analyze` wrote, or its folder
    #[arg(long, value_name = "FILE")]
    pub analysis: Option<PathBuf>,
    /// order.json that `boomerang search` wrote; repeatable
    #[arg(long, value_name = "FILE")]
    pub search: Vec<PathBuf>,
    /// Results of lm-evaluation-harness for another model, with its number of parameters where the
    /// file has none: NAME=results.json or NAME=results.json:1.4B; repeatable
    #[arg(long, value_name = "NAME=FILE[:PARAMS]")]
    pub import: Vec<Import>,
    /// What grows to the right
    #[arg(long, value_enum, default_value_t = SizeAxis::Params)]
    pub x: SizeAxis,
    /// What is looked at: the mean of a metric over tasks (acc) or one task's (arc_easy:acc_norm)
    /// [default: mean accuracy where there is one]
    #[arg(long)]
    pub metric: Option<String>,
    /// Draws of the paired bootstrap
    #[arg(value_parser = count, long, default_value_t = 2000, value_name = "N")]
    pub draws: usize,
    /// Seed of these draws
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Folder for report.html and the files beside it
    #[arg(long)]
    pub out: PathBuf,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
}

/// Reads what was measured, and writes the page.
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
            "there is nothing to report; name folders that `boomerang eval` wrote, or give --analysis, \
             --search or --import",
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
    let out = OutputFolder::create(&args.out, args.force)?;
    report.write(&out)?;
    let written = out.commit()?;
    for finding in report.findings() {
        print(&format!("- {finding}"));
    }
    for note in report.notes() {
        tell(&format!("note: {note}"));
    }
    print(&format!("written to {}", written.join("report.html").display()));
    Ok(())
}
