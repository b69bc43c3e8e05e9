//! Runs side by side: which settings differ, their held-out losses in one chart, and the loss of each
//! size of their families.

use std::collections::{BTreeSet, HashSet};

use boomerang_core::chart::{Axis, Chart, Format, Point, Series, SeriesStyle};
use boomerang_core::distill::loss::LossTerm;
use boomerang_engine::distillation::messages::{DistillSettings, SizeLoss};

use super::record::Record;
use super::run::Run;
use crate::text::format;
use crate::text::tokens::quoted;

/// A setting that can differ between two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    Layers,
    Texts,
    Steps,
    LearningRate,
    Seed,
    Weight(LossTerm),
}

impl Setting {
    pub fn name(self) -> String {
        match self {
            Self::Layers => "layers kept".to_owned(),
            Self::Texts => "training data".to_owned(),
            Self::Steps => "steps".to_owned(),
            Self::LearningRate => "learning rate".to_owned(),
            Self::Seed => "seed".to_owned(),
            Self::Weight(term) => format!("weight of {}", term.short_name()),
        }
    }
}

/// The settings that differ.
pub fn differences(one: &DistillSettings, other: &DistillSettings) -> BTreeSet<Setting> {
    let weight = |term: LossTerm| {
        (Setting::Weight(term), term.weight(&one.loss) != term.weight(&other.loss))
    };
    let others = [
        (Setting::Layers, one.plan != other.plan),
        (Setting::Steps, one.n_steps != other.n_steps),
        (Setting::LearningRate, one.learning_rate != other.learning_rate),
        (Setting::Seed, one.seed != other.seed),
    ];
    let all = others.into_iter().chain(LossTerm::ALL.map(weight));
    all.filter(|(_, differs)| *differs).map(|(setting, _)| setting).collect()
}

/// The settings in which a run differs from the one that it repeats; none without such a run.
pub fn marked(run: &Run, runs: &[Run]) -> BTreeSet<Setting> {
    let base = run.record.based_on.and_then(|number| runs.iter().find(|it| it.number == number));
    let Some(base) = base else { return BTreeSet::new() };
    let mut marked = differences(&run.record.settings, &base.record.settings);
    if run.record.text_names() != base.record.text_names() {
        marked.insert(Setting::Texts);
    }
    marked
}

/// The runs of a chart, newest first, as many as there are styles less `n_others`; and how many older
/// ones are left out.
fn drawn<'a>(runs: impl Iterator<Item = &'a Run>, n_others: usize) -> (Vec<&'a Run>, usize) {
    let mut runs: Vec<&Run> = runs.collect();
    runs.reverse();
    let n_left_out = runs.len().saturating_sub(SeriesStyle::ALL.len() - n_others);
    runs.truncate(SeriesStyle::ALL.len() - n_others);
    (runs, n_left_out)
}

fn left_out(n_runs: usize) -> String {
    match n_runs {
        0 => String::new(),
        n => format!(" {} not shown.", format::count(n, "older run")),
    }
}

/// The held-out loss of the newest runs by step; `None` before any is measured.
pub fn losses(runs: &[Run]) -> Option<Chart> {
    let measured = runs.iter().filter(|run| !run.record.held_out.is_empty());
    let (drawn, n_left_out) = drawn(measured, 0);
    if drawn.is_empty() {
        return None;
    }
    let series = drawn.iter().zip(styles(&drawn)).map(|(run, style)| {
        let held_out = run.record.held_out.iter();
        let points = held_out.map(|it| point(it.step as f64, it.nats)).collect();
        Series { name: label(run), style, points }
    });
    Some(Chart {
        title: format!("Held-out loss of {} by step", format::count(drawn.len(), "run")),
        description: format!(
            "Cross-entropy in nats/token on held-out sequences; training data and loss weights may \
             differ between runs.{}",
            left_out(n_left_out)
        ),
        x: Axis { label: "step".to_owned(), format: Format::Count },
        y: Axis { label: "nats per token (lower is better)".to_owned(), format: Format::Plain },
        series: series.collect(),
        reference: None,
        here: None,
    })
}

/// By number, so that a run keeps its style while others start, unless two would have the same.
fn styles(drawn: &[&Run]) -> Vec<SeriesStyle> {
    let by_number = drawn.iter().map(|run| SeriesStyle::at(run.number.saturating_sub(1)));
    let different: HashSet<SeriesStyle> = by_number.clone().collect();
    if different.len() == drawn.len() {
        by_number.collect()
    } else {
        (0..drawn.len()).map(SeriesStyle::at).collect()
    }
}

fn point(x: f64, y: f64) -> Point {
    Point { x, y, stderr: None, note: None }
}

/// `Run 3, 10 steps`.
fn label(run: &Run) -> String {
    let n_steps = format::count(run.record.settings.n_steps, "step");
    format!("{}, {n_steps}", format::capitalized(&run.name()))
}

/// The held-out losses as a file: a line for each run and step that was measured.
pub fn losses_csv(runs: &[Run]) -> String {
    let mut csv = "run,step,held_out_nats_per_token,held_out_loss,taught_on\n".to_owned();
    for run in runs {
        for it in &run.record.held_out {
            let (number, total) = (run.number, it.terms.total);
            let taught_on = taught_on(&run.record);
            csv.push_str(&format!("{number},{},{},{total},{taught_on}\n", it.step, it.nats));
        }
    }
    csv
}

fn taught_on(record: &Record) -> String {
    match record.text_names() {
        [] => "generated corpus".to_owned(),
        names => quoted(&names.join(", ")),
    }
}

/// The mean loss over all sizes of a family; `None` until all are measured.
pub fn mean_over_sizes(record: &Record) -> Option<f64> {
    let sizes = record.sizes.as_ref()?;
    let own: Vec<f64> = own(sizes).map(|size| size.nats).collect();
    (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)
}

fn own(sizes: &[SizeLoss]) -> impl Iterator<Item = &SizeLoss> {
    sizes.iter().filter(|size| !size.is_bundle)
}

/// `7 layers 1.320, 8 layers 1.300`.
pub fn sizes_in_words(record: &Record) -> String {
    let sizes = record.sizes.iter().flat_map(|sizes| own(sizes));
    let layers = |size: &SizeLoss| format::count(size.n_layers, "layer");
    let words = sizes.map(|size| format!("{} {:.3}", layers(size), size.nats));
    words.collect::<Vec<_>>().join(", ")
}

/// The loss of each size of the newest measured families, beside that of the bundle; only those on the
/// same held-out sequences are comparable. `None` before any is measured.
pub fn sizes(runs: &[Run]) -> Option<Chart> {
    let is_measured = |run: &&Run| run.record.sizes.is_some();
    let newest = runs.iter().rev().find(is_measured)?;
    let is_comparable = |run: &&Run| run.record.text_names() == newest.record.text_names();
    let n_other = runs.iter().filter(is_measured).filter(|run| !is_comparable(run)).count();
    let (drawn, n_left_out) = drawn(runs.iter().filter(is_measured).filter(is_comparable), 1);
    let points = |run: &Run, is_bundle| {
        let sizes = run.record.sizes.iter().flatten().filter(|size| size.is_bundle == is_bundle);
        sizes.map(|size| point(size.n_layers as f64, size.nats)).collect::<Vec<_>>()
    };
    let mut series = vec![Series {
        name: "The bundle's student".to_owned(),
        style: SeriesStyle::at(0),
        points: points(newest, true),
    }];
    let own = drawn.iter().enumerate().map(|(index, run)| Series {
        name: label(run),
        style: SeriesStyle::at(index + 1),
        points: points(run, false),
    });
    series.extend(own);
    let others = match n_other {
        0 => String::new(),
        n => format!(" {} with other held-out sequences not shown.", format::count(n, "run")),
    };
    Some(Chart {
        title: sizes_finding(newest),
        description: format!(
            "Cross-entropy of every size, from student to teacher, on the same held-out sequences, \
             measured on this device.{}{others}",
            left_out(n_left_out)
        ),
        x: Axis { label: "layers".to_owned(), format: Format::Count },
        y: Axis { label: "nats per token (lower is better)".to_owned(), format: Format::Plain },
        series,
        reference: None,
        here: None,
    })
}

/// What the sizes of a run show, without judgment where they show nothing.
fn sizes_finding(run: &Run) -> String {
    let sizes: Vec<&SizeLoss> = run.record.sizes.iter().flat_map(|sizes| own(sizes)).collect();
    let name = format::capitalized(&run.name());
    let ([student, .., teacher], Some(worst)) =
        (&sizes[..], sizes.iter().max_by(|one, other| one.nats.total_cmp(&other.nats)))
    else {
        return format!("{name}: loss of its sizes");
    };
    let ends = format!(
        "{name}: {:.3} nats/token for the student of {} layers, {:.3} for the teacher of {}",
        student.nats, student.n_layers, teacher.nats, teacher.n_layers
    );
    let is_falling = sizes.windows(2).all(|pair| pair[1].nats <= pair[0].nats);
    if is_falling {
        format!("{ends}; every size is better than the one before.")
    } else if worst.n_layers == student.n_layers {
        format!("{ends}; sizes in between do not improve with every layer.")
    } else {
        format!(
            "{ends}; in between, {} layers are worse than the student: {:.3}.",
            worst.n_layers, worst.nats
        )
    }
}

/// The sizes as a file: a line for each size of each run, and of the bundle on the same sequences.
pub fn sizes_csv(runs: &[Run]) -> String {
    let mut csv = "run,family,layers,nats_per_token,taught_on\n".to_owned();
    for run in runs {
        for size in run.record.sizes.iter().flatten() {
            let family = if size.is_bundle { "bundle" } else { "run" };
            let (number, taught_on) = (run.number, taught_on(&run.record));
            csv.push_str(&format!(
                "{number},{family},{},{},{taught_on}\n",
                size.n_layers, size.nats
            ));
        }
    }
    csv
}

#[cfg(test)]
mod tests {
    use boomerang_engine::distillation::messages::HeldOutLoss;

    use super::super::run::DistillStage;
    use super::super::run::tests::run;
    use super::*;

    fn measured(number: usize, nats: &[f64]) -> Run {
        let mut run = run(number, DistillStage::Ended);
        let size = |(index, &nats): (usize, &f64)| SizeLoss {
            is_bundle: false,
            n_layers: index + 1,
            nats,
        };
        let mut sizes: Vec<SizeLoss> = nats.iter().enumerate().map(size).collect();
        sizes.push(SizeLoss { is_bundle: true, n_layers: 1, nats: 9.0 });
        run.record.sizes = Some(sizes);
        run.record.held_out = vec![HeldOutLoss { step: 0, nats: 3.0, terms: Default::default() }];
        run
    }

    #[test]
    fn the_changed_setting_is_marked() {
        let base = run(1, DistillStage::Ended);
        let mut again = run(2, DistillStage::Ended);
        again.record.based_on = Some(1);
        assert!(marked(&again, std::slice::from_ref(&base)).is_empty());
        again.record.settings.learning_rate *= 2.0;
        let runs = [base, again];
        assert_eq!(marked(&runs[1], &runs), BTreeSet::from([Setting::LearningRate]));
        assert!(marked(&runs[0], &runs).is_empty());
    }

    #[test]
    fn every_setting_is_compared() {
        let one = run(1, DistillStage::Ended).record.settings;
        let mut other = one.clone();
        other.n_steps += 1;
        other.seed += 1;
        other.loss.alignment += 1.0;
        other.plan = boomerang_core::plan::LayerPlan::keep(&[0, 1], 2).unwrap();
        let expected =
            [Setting::Layers, Setting::Steps, Setting::Seed, Setting::Weight(LossTerm::Alignment)];
        assert_eq!(differences(&one, &other), BTreeSet::from(expected));
    }

    #[test]
    fn a_family_is_summed_up_by_the_mean_of_its_sizes() {
        let record = measured(1, &[3.0, 2.0, 1.0]).record;
        assert_eq!(mean_over_sizes(&record), Some(2.0));
        assert_eq!(sizes_in_words(&record), "1 layer 3.000, 2 layers 2.000, 3 layers 1.000");
        assert_eq!(mean_over_sizes(&run(1, DistillStage::Ended).record), None);
    }

    #[test]
    fn the_finding_names_a_size_that_is_worse_than_the_student() {
        let title = |nats: &[f64]| sizes(&[measured(4, nats)]).unwrap().title;
        assert!(title(&[3.0, 2.0, 1.0]).ends_with("every size is better than the one before."));
        let worse = title(&[1.5, 2.0, 1.0]);
        assert!(worse.ends_with("2 layers are worse than the student: 2.000."), "{worse}");
    }

    #[test]
    fn lines_are_told_apart_without_color_and_older_runs_are_counted() {
        let runs: Vec<Run> = (1..=14).map(|number| measured(number, &[2.0, 1.0])).collect();
        for chart in [losses(&runs).unwrap(), sizes(&runs).unwrap()] {
            let styles: HashSet<_> = chart.series.iter().map(|series| series.style).collect();
            assert_eq!((styles.len(), chart.series.len()), (12, 12));
            assert!(chart.description.contains("older runs not shown"), "{}", chart.description);
        }
        assert_eq!(losses_csv(&runs).lines().count(), 15);
        assert_eq!(sizes_csv(&runs).lines().count(), 43);
    }

    #[test]
    fn families_with_other_held_out_sequences_are_not_drawn_together() {
        let mut runs = [measured(1, &[2.0, 1.0]), measured(2, &[2.0, 1.0])];
        runs[0].record.names = vec!["mine.txt".to_owned()];
        let chart = sizes(&runs).unwrap();
        assert_eq!(chart.series.len(), 2);
        assert!(chart.description.contains("1 run with other held-out"), "{}", chart.description);
    }
}
