//! `boomerang experiment`: the paper's figures and ablations on the embedded family, with the
//! paper's claims next to the results.

mod adapt;
mod adaptive;
mod bench;
mod catalogue;
mod corrected;
mod depth;
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
use bench::{Bench, Results};
use catalogue::Name;
use design::Design;
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
    StochasticDepth,
    Adapt,
}

impl clap::ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        use Name::{
            Budgets, Every, Losses, Objectives, Orders, Phenomenon, Pruning, Seam, Standard,
            StochasticPatching, WarmStart, WrongOrder,
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
            Self::One(StochasticPatching),
            Self::One(WarmStart),
            Self::One(Seam),
            Self::AdaptiveSize,
            Self::StochasticDepth,
            Self::Adapt,
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
            Self::StochasticDepth => Some(
                clap::builder::PossibleValue::new("stochastic-depth")
                    .help("Teachers pretrained with layers dropped at random"),
            ),
            Self::Adapt => Some(clap::builder::PossibleValue::new("adapt").help(
                "Students of a post-trained teacher: two phases, weight delta, raw text only",
            )),
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
        Choice::StochasticDepth => {
            let (design, results) = depth::run(args, &embedded)?;
            write(args, &word, &embedded, (&design, &results), (&folder, ""))?;
        }
        Choice::Adapt => {
            let (design, results) = adapt::run(args, &embedded)?;
            write(args, &word, &embedded, (&design, &results), (&folder, ""))?;
            let (design, results) = adapt::on_trained_tasks(design, results);
            write(args, &word, &embedded, (&design, &results), (&folder, "trained-"))?;
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
    write(args, word, embedded, (&design, &results), (folder, ""))
}

/// What was compared, as files whose names begin with a prefix.
fn write(
    args: &ExperimentArgs,
    word: &str,
    embedded: &EmbeddedFamily,
    (design, results): (&Design, &Results),
    (folder, prefix): (&OutputFolder, &str),
) -> anyhow::Result<()> {
    let findings = judge::judge(design, &results.sample);
    let command = format!(
        "boomerang experiment {word} --seeds {} --steps {} --questions {}",
        args.seeds, args.steps, args.questions
    );
    let done = Done {
        name: word,
        command: &command,
        design,
        results,
        findings: &findings,
        entropy_floor: embedded.made.entropy_floor,
    };
    let summary = done.to_markdown();
    let write = |name: &str, bytes: &[u8]| folder.write(&format!("{prefix}{name}"), bytes);
    write("curve.csv", done.to_csv().as_bytes())?;
    write("curve.json", format!("{:#}\n", done.to_json()).as_bytes())?;
    write("chart.svg", done.to_svg(Measure::Accuracy).as_bytes())?;
    write("loss.svg", done.to_svg(Measure::Nats).as_bytes())?;
    write("summary.md", summary.as_bytes())?;
    print(&summary);
    Ok(())
}

/// One line for each experiment.
fn list() {
    for choice in Choice::value_variants().iter().filter(|choice| **choice != Choice::List) {
        let value = choice.to_possible_value();
        let help = value.and_then(|value| value.get_help().map(ToString::to_string));
        print(&format!("{:<19}  {}", word(*choice), help.unwrap_or_default()));
    }
}

/// As it is typed.
fn word(choice: Choice) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
