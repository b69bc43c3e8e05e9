//! A report: the results of a family, combined into one page.
//!
//! `family.rs`, `import.rs`, `orders.rs` and `samples.rs` read; `metric.rs`, `curves.rs`,
//! `steps.rs` and `findings.rs` evaluate; `page.rs` and `markdown.rs` write. The statistics are
//! `boomerang-core`'s.

mod curves;
mod error;
mod family;
mod findings;
mod import;
mod lines;
mod markdown;
mod metric;
mod orders;
mod page;
mod samples;
mod step_tables;
mod steps;
mod table;

use std::path::{Path, PathBuf};

use boomerang_core::similarity::Analysis;
use serde_json::json;

use boomerang_files::{self as files, OutputFolder};
use error::Context as _;
pub use error::{ReportError, Result};
use family::read_evaluation;
use findings::{findings, main_line, shape};
pub use import::Import;
use import::read_imports;
pub use lines::SizeAxis;
use lines::{Line, Tasks};
use metric::Metric;
use orders::Orders;
use steps::Steps;
pub use table::{Column, Table, csv_field, markdown_text};

/// The sources of a report.
#[derive(Clone, Debug)]
pub struct Sources<'a> {
    pub evaluations: &'a [PathBuf],
    pub analysis: Option<&'a Path>,
    pub searches: &'a [PathBuf],
    pub imports: &'a [Import],
    pub axis: SizeAxis,
    /// `acc`, `arc_easy:acc_norm`; `None` is the mean accuracy, or the first metric available.
    pub metric: Option<&'a str>,
    /// Resamples of the bootstrap, and its seed.
    pub n_draws: usize,
    pub seed: u64,
}

/// The content of the page.
pub struct Report {
    title: String,
    findings: Vec<String>,
    /// What could not be evaluated, and why.
    notes: Vec<String>,
    lines: Vec<Line>,
    tasks: Tasks,
    metrics: Vec<Metric>,
    /// The main metric; `None` when nothing was evaluated.
    metric: Option<Metric>,
    axis: SizeAxis,
    steps: Option<Steps>,
    analysis: Option<Analysis>,
    orders: Orders,
    manifest: Vec<(String, String)>,
}

/// Width and height of a chart, in pixels.
const PICTURE: (f64, f64) = (960.0, 520.0);

impl Report {
    /// Reads all sources and evaluates them.
    ///
    /// # Errors
    /// Names the source that cannot be used, or what was asked for and does not exist.
    pub fn gather(sources: &Sources<'_>) -> Result<Self> {
        let (mut lines, mut tasks, mut manifest) = read_evaluations(sources.evaluations)?;
        let (imported, of_imports) = read_imports(sources.imports)?;
        if lines.is_empty() {
            tasks = of_imports;
        }
        lines.extend(imported);
        for import in sources.imports {
            manifest.push((format!("import {}", import.name), import.file.display().to_string()));
        }
        let analysis = sources.analysis.map(read_analysis).transpose()?;
        let orders = Orders::read(sources.searches)?;
        for (method, order) in &orders.found {
            let order: Vec<String> = order.iter().map(ToString::to_string).collect();
            manifest.push((format!("search {method}"), format!("order {}", order.join(","))));
        }

        let metrics = Metric::all(&tasks, &lines);
        let metric = Metric::find(sources.metric, &metrics).cloned();
        if let (None, Some(asked)) = (&metric, sources.metric) {
            let available: Vec<String> = metrics.iter().map(Metric::key).collect();
            return Err(ReportError::Unknown(format!(
                "unknown metric {asked:?}; available: {}",
                available.join(", ")
            )));
        }
        let mut report = Self {
            title: title(&manifest),
            findings: Vec::new(),
            notes: Vec::new(),
            lines,
            tasks,
            metrics,
            metric,
            axis: sources.axis,
            steps: None,
            analysis,
            orders,
            manifest,
        };
        report.conclude(sources)?;
        Ok(report)
    }

    fn conclude(&mut self, sources: &Sources<'_>) -> Result<()> {
        if let (Some(metric), Some(line)) = (&self.metric, main_line(&self.lines)) {
            if curves::chart(&self.lines, &self.tasks, metric, self.axis).is_none() {
                let available = SizeAxis::ALL.into_iter().filter(|axis| {
                    curves::chart(&self.lines, &self.tasks, metric, *axis).is_some()
                });
                let available: Vec<&str> = available.map(SizeAxis::name).collect();
                return Err(ReportError::Unknown(format!(
                    "the results have no sizes in {}; available: --x {}",
                    self.axis.words(),
                    available.join(", ")
                )));
            }
            self.steps = Steps::of(line, metric, sources.n_draws, sources.seed)?;
            if self.steps.is_none() && line.members.len() > 1 {
                self.notes.push(format!(
                    "The evaluation of {} has no answers per question (members/*/samples_*.jsonl), \
                     so neighboring sizes are not compared.",
                    line.name
                ));
            }
            if self.steps.as_ref().is_some_and(|steps| steps.is_one_seed_of_many) {
                self.notes.push(
                    "Sizes are compared question by question for the first seed; curves and tables \
                     average over all seeds."
                        .to_owned(),
                );
            }
            self.findings = findings(&self.lines, metric, self.steps.as_ref());
            for line in self.lines.iter().filter(|line| line.is_import()) {
                if !line.members.iter().any(|member| metric.of(member).is_some()) {
                    self.notes.push(format!("{} has no {}.", line.name, metric.words()));
                }
            }
        }
        self.findings.extend(self.orders.finding());
        if let Some(analysis) = &self.analysis {
            self.findings.push(format!("{}.", analysis.heat_map().title));
        }
        Ok(())
    }

    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Writes the page, and its charts and tables as separate files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, out: &OutputFolder) -> Result<()> {
        out.write("report.html", page::html(self).as_bytes())?;
        out.write("report.md", markdown::markdown(self).as_bytes())?;
        out.write("report.json", format!("{:#}\n", self.json()).as_bytes())?;
        let (width, height) = PICTURE;
        if let Some(metric) = &self.metric {
            out.write("results.csv", curves::results_table(&self.lines).to_csv().as_bytes())?;
            out.write("shapes.csv", curves::shapes_table(&self.lines, metric).to_csv().as_bytes())?;
            if let Some(chart) = curves::chart(&self.lines, &self.tasks, metric, self.axis) {
                out.write("curve.svg", chart.to_svg(width, height).as_bytes())?;
            }
        }
        let names = ["steps.csv", "steps_to_largest.csv", "steps_by_task.csv"];
        for (name, table) in names.into_iter().zip(self.step_tables()) {
            out.write(name, table.to_csv().as_bytes())?;
        }
        if let Some(chart) = self.orders.chart() {
            out.write("orders.svg", chart.to_svg(width, height).as_bytes())?;
        }
        if let Some(analysis) = &self.analysis {
            out.write("similarity.svg", analysis.heat_map().to_svg(width).as_bytes())?;
            out.write("influence.svg", analysis.influence_bars().to_svg(width, 420.0).as_bytes())?;
        }
        Ok(())
    }

    fn step_tables(&self) -> Vec<Table> {
        let both = self.steps.as_ref().zip(self.metric.as_ref());
        both.map_or_else(Vec::new, |(steps, metric)| steps.tables(metric).into())
    }

    /// The metrics in the table of sizes: the main one, and the other means.
    fn shown_metrics(&self) -> Vec<&Metric> {
        let means = self.metrics.iter().filter(|metric| metric.is_mean);
        let losses = self.metrics.iter().filter(|metric| metric.metric == "nats_per_token");
        let mut shown: Vec<&Metric> = self.metric.iter().collect();
        for metric in means.chain(losses) {
            if !shown.contains(&metric) {
                shown.push(metric);
            }
        }
        shown
    }

    fn json(&self) -> serde_json::Value {
        let shapes = self.metric.iter().flat_map(|metric| {
            self.lines.iter().map(|line| json!({"line": line.name, "shape": shape(line, metric)}))
        });
        json!({
            "version": 1,
            "metric": self.metric.as_ref().map(Metric::key),
            "x": self.axis.name(),
            "findings": self.findings,
            "notes": self.notes,
            "shapes": shapes.collect::<Vec<_>>(),
            "steps": self.steps,
        })
    }
}

type Read = (Vec<Line>, Tasks, Vec<(String, String)>);

/// Lines of several folders with the same name get the name of the folder.
fn read_evaluations(folders: &[PathBuf]) -> Result<Read> {
    let (mut lines, mut tasks, mut manifest) = (Vec::<Line>::new(), Tasks::new(), Vec::new());
    for folder in folders {
        let evaluation = read_evaluation(folder)?;
        for (name, task) in evaluation.tasks {
            let known = tasks.entry(name).or_insert_with(|| task.clone());
            known.higher_is_better.extend(task.higher_is_better);
        }
        for mut line in evaluation.lines {
            if folders.len() > 1 {
                let short = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
                let named = format!("{} ({short})", line.name);
                let is_taken = lines.iter().any(|other| other.name == named);
                line.name =
                    if is_taken { format!("{} ({})", line.name, folder.display()) } else { named };
            }
            lines.push(line);
        }
        manifest.extend(evaluation.manifest);
    }
    Ok((lines, tasks, manifest))
}

/// `analysis.json`, or the folder that holds it.
fn read_analysis(path: &Path) -> Result<Analysis> {
    let path = if path.is_dir() { path.join("analysis.json") } else { path.to_owned() };
    let text = files::read_text(&path)?;
    Analysis::from_json(&text).with_context(|| path.display().to_string())
}

fn title(manifest: &[(String, String)]) -> String {
    let teacher = manifest.iter().find(|(name, _)| name == "teacher path");
    let name = teacher.and_then(|(_, path)| path.rsplit('/').find(|part| !part.is_empty()));
    name.map_or_else(|| "A family of sizes".to_owned(), |name| format!("The sizes of {name}"))
}
