//! `boomerang experiment`: the paper's figures and ablations on the embedded family, with the
//! paper's claims next to the results.

mod adaptive;
mod bench;
mod catalogue;
mod corrected;
mod design;
mod judge;
mod models;
mod output;
mod sample;
mod searched;

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum as _;

use crate::args::numbers::count;
use crate::args::{DeviceArgs, OverwriteArgs};
use crate::device;
use crate::embedded::{EmbeddedFamily, STEPS};
use crate::exit::Exit;
use crate::files::OutputFolder;
use crate::progress::{note, print};
use bench::Bench;
use catalogue::Name;
use output::Done;
use sample::Measure;

/// Reproduce a figure or an ablation of the paper on the embedded family
#[derive(Clone, Debug, clap::Args)]
pub struct ExperimentArgs {
    /// Experiment to run
    #[arg(value_enum)]
    pub name: Choice,
    /// Output folder [default: runs/experiments/NAME]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Number of students of each kind, each distilled on other data
    #[arg(value_parser = clap::value_parser!(u64).range(1..), long, default_value_t = 3)]
    pub seeds: u64,
    /// Optimizer steps of each distillation
    #[arg(value_parser = count, long, default_value_t = STEPS)]
    pub steps: usize,
    /// Questions per task, from 10 to 100
    #[arg(long, default_value_t = 100)]
    pub questions: usize,
    #[command(flatten)]
    pub overwrite: OverwriteArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// An experiment, or their list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    List,
    One(Name),
    AdaptiveSize,
}

impl clap::ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        use Name::{
            Budgets, Every, Losses, Objectives, Orders, Phenomenon, Pruning, Seam, Standard,
            WrongOrder,
        };
        &[
            Self::List,
            Self::One(Phenomenon),
            Self::One(Pruning),
            Self::One(Standard),
            Self::One(Losses),
            Self::One(Every),
            Self::One(Budgets),
            Self::One(WrongOrder),
            Self::One(Orders),
            Self::One(Objectives),
            Self::One(Seam),
            Self::AdaptiveSize,
        ]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        match self {
            Self::List => {
                Some(clap::builder::PossibleValue::new("list").help("List the experiments"))
            }
            Self::One(name) => name.to_possible_value(),
            Self::AdaptiveSize => {
                Some(clap::builder::PossibleValue::new("adaptive-size").help(
                    "Another size for every question, by confidence, next to every fixed size",
                ))
            }
        }
    }
}

/// # Errors
/// When an argument is out of range, training diverges, or an output cannot be written.
pub fn run(args: &ExperimentArgs) -> anyhow::Result<()> {
    if args.name == Choice::List {
        list();
        return Ok(());
    }
    if !(10..=100).contains(&args.questions) {
        return Err(Exit::Usage.error(format!(
            "--questions must be at least 10, for standard errors, and at most 100; found {}",
            args.questions
        )));
    }
    let started = Instant::now();
    let device = device::choose(args.device.device)?;
    note(&format!("device: {} ({})", device.description, device.reason));
    let word = word(args.name);
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs/experiments").join(&word));
    let folder = OutputFolder::create(&out, args.overwrite.force)?;
    let embedded = EmbeddedFamily::open(&device.device)?;
    match args.name {
        Choice::List => {}
        Choice::AdaptiveSize => {
            adaptive::run(&embedded, (args.seeds, args.steps, args.questions), &folder)?;
        }
        Choice::One(name) => compare(args, name, &word, &embedded, &folder)?,
    }
    folder.commit()?;
    print(&format!("written to {} in {:.0} s", out.display(), started.elapsed().as_secs_f64()));
    Ok(())
}

/// Lines of models, and claims about them.
fn compare(
    args: &ExperimentArgs,
    name: Name,
    word: &str,
    embedded: &EmbeddedFamily,
    folder: &OutputFolder,
) -> anyhow::Result<()> {
    let design = name.design(embedded, args.steps)?;
    let results = Bench::new(embedded, args.seeds, args.questions)?.run(&design)?;
    let findings = judge::judge(&design, &results.sample);
    let command = format!(
        "boomerang experiment {word} --seeds {} --steps {} --questions {}",
        args.seeds, args.steps, args.questions
    );
    let done = Done {
        name: word,
        command: &command,
        design: &design,
        results: &results,
        findings: &findings,
        entropy_floor: embedded.made.entropy_floor,
    };
    let summary = done.to_markdown();
    folder.write("curve.csv", done.to_csv().as_bytes())?;
    folder.write("curve.json", format!("{:#}\n", done.to_json()).as_bytes())?;
    folder.write("chart.svg", done.to_svg(Measure::Accuracy).as_bytes())?;
    folder.write("loss.svg", done.to_svg(Measure::Nats).as_bytes())?;
    folder.write("summary.md", summary.as_bytes())?;
    print(&summary);
    Ok(())
}

/// One line for each experiment.
fn list() {
    for choice in Choice::value_variants().iter().filter(|choice| **choice != Choice::List) {
        let value = choice.to_possible_value();
        let help = value.and_then(|value| value.get_help().map(ToString::to_string));
        print(&format!("{:<13}  {}", word(*choice), help.unwrap_or_default()));
    }
}

/// As it is typed.
fn word(choice: Choice) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
