//! `boomerang experiment adaptive-size`: another size for every question, beside every fixed size.

use std::fmt::Write as _;

use boomerang_core::chart::{Axis, Chart, Format, Point, Series, SeriesStyle};
use boomerang_core::estimate::{Estimate, mean, stderr};
use boomerang_core::evaluate::{
    Batching, Examination, Outcome, PrefixTree, Rule, Stack, adaptive, answers,
};
use boomerang_core::prune::Family;
use boomerang_report::csv_field;
use futures_lite::future::block_on;

use super::bench::TOKENS_PER_BATCH;
use super::judge::ERRORS;
use super::output::PICTURE;
use crate::embedded::{DistillRun, EmbeddedFamily, distill_each};
use crate::files::OutputFolder;
use crate::measure::order;
use crate::progress::{Progress, print};

/// Confidences at which a size answers.
const THRESHOLDS: [f64; 11] = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995];
const RULES: [(Rule, &str); 2] = [
    (Rule::Cascade, "smallest size that is sure"),
    (Rule::ByTeacher, "student where the teacher is sure"),
];
const FIXED: &str = "one size for all questions";

/// Accuracy at a mean number of layers, one value of each for each seed.
#[derive(Clone, Debug, Default)]
struct Measured {
    threshold: Option<f64>,
    layers: Vec<f64>,
    accuracy: Vec<f64>,
}

/// Fixed sizes, and the thresholds of each rule.
struct Curves {
    fixed: Vec<Measured>,
    rules: Vec<(&'static str, Vec<Measured>)>,
}

/// Distills students, asks every size every question, and writes what each rule would have chosen.
///
/// # Errors
/// When training diverges, a result is not finite, or a file cannot be written.
pub(super) fn run(
    embedded: &EmbeddedFamily,
    (n_seeds, steps, n_questions): (u64, usize, usize),
    folder: &OutputFolder,
) -> anyhow::Result<()> {
    let runs: Vec<DistillRun> =
        (0..n_seeds).map(|seed| DistillRun::new(embedded.plan.clone(), steps, seed)).collect();
    let examination = embedded.parts(1, n_questions)?.remove(0);
    let calibration = embedded.calibration();
    let mut curves = Curves { fixed: Vec::new(), rules: Vec::new() };
    for student in distill_each(embedded, &runs)? {
        let family = Family::new(embedded.teacher.clone(), student)?;
        let order = order::search(&family, &calibration)?;
        let path = order.path(family.plan())?;
        let stacks: Vec<Stack> =
            path.iter().map(|patch| Stack::new(&family.plan().recipe(patch), 0, 1)).collect();
        curves.add(&outcomes(&family, &stacks, &examination)?);
    }
    let command = format!(
        "boomerang experiment adaptive-size --seeds {n_seeds} --steps {steps} --questions {n_questions}"
    );
    let summary = curves.to_markdown(&command);
    folder.write("curve.csv", curves.to_csv().as_bytes())?;
    folder.write("chart.svg", curves.to_svg().as_bytes())?;
    folder.write("summary.md", summary.as_bytes())?;
    print(&summary);
    Ok(())
}

/// What every size answers, with its layers; the student first.
fn outcomes(
    family: &Family,
    stacks: &[Stack],
    examination: &Examination,
) -> anyhow::Result<Vec<(usize, Vec<Outcome>)>> {
    let models = [family.teacher().model(), family.student().model()];
    let tree = PrefixTree::new(stacks);
    let mut progress = Progress::new("evaluate", examination.n_requests());
    let mut answered = |n_done| progress.set(n_done, || format!("{} sizes", stacks.len()));
    let batching = Batching::of(TOKENS_PER_BATCH);
    let found = answers(&models, &tree, examination.requests(), batching, &mut answered);
    let found = block_on(found)?;
    progress.finish();
    let sizes = stacks.iter().zip(&found.likelihoods);
    Ok(sizes.map(|(stack, all)| (stack.layers.len(), examination.outcomes(all))).collect())
}

impl Curves {
    /// Adds a seed.
    fn add(&mut self, sizes: &[(usize, Vec<Outcome>)]) {
        self.fixed.resize(sizes.len(), Measured::default());
        for (size, measured) in sizes.iter().zip(&mut self.fixed) {
            // A single size answers everything, whatever the threshold.
            measured.add(std::slice::from_ref(size), Rule::Cascade, 0.0);
        }
        if self.rules.is_empty() {
            let empty =
                THRESHOLDS.map(|it| Measured { threshold: Some(it), ..Measured::default() });
            self.rules = RULES.map(|(_, name)| (name, empty.to_vec())).to_vec();
        }
        for ((rule, _), (_, thresholds)) in RULES.into_iter().zip(&mut self.rules) {
            for (threshold, measured) in THRESHOLDS.into_iter().zip(thresholds) {
                measured.add(sizes, rule, threshold);
            }
        }
    }

    /// How much more accurate a rule is than a fixed size of the same mean, over thresholds that lie
    /// between the smallest and the largest size. `None` where none does.
    fn lead(&self, thresholds: &[Measured]) -> Option<Estimate> {
        let n_seeds = self.fixed.first()?.accuracy.len();
        let leads = (0..n_seeds).filter_map(|seed| {
            let of_seed = thresholds.iter().filter_map(|at| {
                Some(at.accuracy[seed] - self.interpolated(seed, at.layers[seed])?)
            });
            let of_seed: Vec<f64> = of_seed.collect();
            (!of_seed.is_empty()).then(|| mean(&of_seed))
        });
        let leads: Vec<f64> = leads.collect();
        (!leads.is_empty()).then(|| over_seeds(&leads))
    }

    /// Accuracy of fixed sizes at a number of layers between two of them.
    fn interpolated(&self, seed: usize, layers: f64) -> Option<f64> {
        self.fixed.windows(2).find_map(|pair| {
            let [low, high] = [&pair[0], &pair[1]].map(|it| (it.layers[seed], it.accuracy[seed]));
            let share = (layers - low.0) / (high.0 - low.0);
            let is_inside = layers > self.fixed[0].layers[seed] && (0.0..1.0).contains(&share);
            is_inside.then_some(low.1 + share * (high.1 - low.1))
        })
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, &[Measured])> {
        let rules = self.rules.iter().map(|(name, measured)| (*name, measured.as_slice()));
        std::iter::once((FIXED, self.fixed.as_slice())).chain(rules)
    }

    /// `curve.csv`: one row for each line, threshold and seed.
    fn to_csv(&self) -> String {
        let mut csv = "line,threshold,seed,mean_layers,accuracy\n".to_owned();
        for (name, line) in self.all() {
            let name = csv_field(name);
            for measured in line {
                let threshold = measured.threshold.map(|it| it.to_string()).unwrap_or_default();
                for (seed, (layers, accuracy)) in
                    measured.layers.iter().zip(&measured.accuracy).enumerate()
                {
                    let _ = writeln!(csv, "{name},{threshold},{seed},{layers:.4},{accuracy:.6}");
                }
            }
        }
        csv
    }

    fn to_svg(&self) -> String {
        let series = self.all().enumerate().map(|(index, (name, line))| {
            let style = SeriesStyle::at(index);
            let mut points: Vec<Point> = line.iter().map(Measured::point).collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            Series { name: name.to_owned(), style, points }
        });
        let chart = Chart {
            title: "A size for every question: accuracy by mean size".to_owned(),
            description:
                "Accuracy of fixed sizes, and of rules that choose a size for every question \
                          by confidence. Bars: one standard error each way, over students."
                    .to_owned(),
            x: Axis { label: "layers, mean over questions".to_owned(), format: Format::Plain },
            y: Axis {
                label: "mean accuracy (higher is better)".to_owned(),
                format: Format::Percent,
            },
            series: series.collect(),
            reference: None,
            here: None,
        };
        chart.to_svg(PICTURE.0, PICTURE.1)
    }

    fn to_markdown(&self, command: &str) -> String {
        let mut text = format!(
            "# A size for every question\n\n\
             Every size of a family answers every question; a rule chooses whose answer counts, by the \
             probability of the chosen answer among all (after ADAPT's adaptive size, \
             arXiv:2608.22854).\n\
             The mean size counts the layers of the size that answers, not those of sizes that were \
             asked before it, nor the teacher's pass where its confidence decides.\n\n\
             Command: `{command}`.\n\n\
             | rule | accuracy above that of fixed sizes of the same mean | |\n|---|---|---|\n"
        );
        for (name, thresholds) in &self.rules {
            let (lead, verdict) = match self.lead(thresholds) {
                None => ("–".to_owned(), "no threshold between the ends"),
                Some(lead) if lead.mean > ERRORS * lead.stderr => (lead.to_text(3), "better"),
                Some(lead) if lead.mean < -ERRORS * lead.stderr => (lead.to_text(3), "worse"),
                Some(lead) => (lead.to_text(3), "no significant difference"),
            };
            let _ = writeln!(text, "| {name} | {lead} | {verdict} |");
        }
        text.push_str(
            "\nMeans over thresholds, with standard errors over students; a difference counts when it \
             exceeds two of them.\n",
        );
        for (name, line) in self.all() {
            let _ = write!(
                text,
                "\n## {name}\n\n| threshold | mean layers | accuracy |\n|---|---|---|\n"
            );
            for measured in line {
                let threshold = measured.threshold.map_or("–".to_owned(), |it| it.to_string());
                let _ = writeln!(
                    text,
                    "| {threshold} | {} | {} |",
                    over_seeds(&measured.layers).to_text(2),
                    over_seeds(&measured.accuracy).to_text(3)
                );
            }
        }
        text
    }
}

impl Measured {
    fn add(&mut self, sizes: &[(usize, Vec<Outcome>)], rule: Rule, threshold: f64) {
        if let Some(found) = adaptive(sizes, rule, threshold) {
            self.layers.push(found.mean_layers);
            self.accuracy.push(found.accuracy);
        }
    }

    fn point(&self) -> Point {
        let (x, y) = (mean(&self.layers), mean(&self.accuracy));
        Point { x, y, stderr: Some(stderr(&self.accuracy)), note: None }
    }
}

fn over_seeds(values: &[f64]) -> Estimate {
    Estimate { mean: mean(values), stderr: stderr(values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(accurate: bool) -> Vec<(usize, Vec<Outcome>)> {
        let outcome = |is_right, confidence| Outcome { task: "a".to_owned(), is_right, confidence };
        // The student knows half of the questions, and in one case which.
        let student = |number: usize| {
            let knows = number.is_multiple_of(2);
            outcome(knows, if knows == accurate { 0.9 } else { 0.25 })
        };
        vec![
            (4, (0..8).map(student).collect()),
            (8, (0..8).map(|_| outcome(true, 0.999)).collect()),
        ]
    }

    #[test]
    fn a_rule_leads_where_confidence_tells_right_from_wrong() {
        let lead = |accurate| {
            let mut curves = Curves { fixed: Vec::new(), rules: Vec::new() };
            curves.add(&sizes(accurate));
            curves.lead(&curves.rules[0].1).unwrap().mean
        };
        // Half of the questions at 4 layers, half at 8: 6 layers, where fixed sizes have 0.75.
        assert!((lead(true) - 0.25).abs() < 1e-12);
        assert!((lead(false) + 0.25).abs() < 1e-12);
    }
}
