//! The files of an experiment: points, charts, and the verdicts on the claims.

use std::fmt::Write as _;

use boomerang_core::chart::{Axis, Chart, Format, Point, Reference, Series, SeriesStyle};
use boomerang_core::estimate::{Estimate, mean, stderr};
use boomerang_report::csv_field;
use serde_json::{Value, json};

use super::bench::Results;
use super::design::Design;
use super::judge::{Finding, Judged};
use super::sample::{Measure, Sample};

/// Width and height of a chart, in pixels.
pub(super) const PICTURE: (f64, f64) = (960.0, 560.0);

/// An experiment that was done.
pub(super) struct Done<'a> {
    pub(super) name: &'a str,
    /// The command that reproduces it.
    pub(super) command: &'a str,
    pub(super) design: &'a Design,
    pub(super) results: &'a Results,
    pub(super) findings: &'a [Finding],
    /// The entropy of the corpus, a lower bound on the loss, in nats/token.
    pub(super) entropy_floor: f64,
}

impl Measure {
    fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Nats => "loss in nats/token",
        }
    }
}

impl Done<'_> {
    fn sample(&self) -> &Sample {
        &self.results.sample
    }

    /// `curve.csv`: one row for each model.
    pub(super) fn to_csv(&self) -> String {
        let mut csv = String::from(
            "line,seed,n_layers,n_patched,n_params,accuracy,accuracy_stderr,nats_per_token,\
             nats_stderr\n",
        );
        for point in &self.sample().points {
            let n_patched = point.n_patched.map(|n_patched| n_patched.to_string());
            // Writing to a string cannot fail.
            let _ = writeln!(
                csv,
                "{},{},{},{},{},{:.6},{:.6},{:.6},{:.6}",
                csv_field(&self.design.lines[point.line].name),
                point.seed,
                point.n_layers,
                n_patched.unwrap_or_default(),
                point.n_params,
                mean(&point.accuracy),
                stderr(&point.accuracy),
                mean(&point.nats),
                stderr(&point.nats),
            );
        }
        csv
    }

    /// `curve.json`: all of it, with the values of each part of the examination.
    pub(super) fn to_json(&self) -> Value {
        let rounded = |values: &[f64]| -> Vec<f64> {
            values.iter().map(|value| (value * 1e5).round() / 1e5).collect()
        };
        let points = self.sample().points.iter().map(|point| {
            json!({
                "line": self.design.lines[point.line].name,
                "seed": point.seed,
                "n_layers": point.n_layers,
                "n_patched": point.n_patched,
                "n_params": point.n_params,
                "accuracy": rounded(&point.accuracy),
                "nats_per_token": rounded(&point.nats),
            })
        });
        json!({
            "version": 1,
            "experiment": self.name,
            "command": self.command,
            "paper": self.design.paper,
            "findings": self.findings,
            "remarks": self.results.remarks,
            "chance": self.results.chance,
            "entropy_floor": self.entropy_floor,
            "layer_calls": self.results.cost.n_layer_calls,
            "layer_calls_one_by_one": self.results.cost.n_layer_calls_alone,
            "points": points.collect::<Vec<_>>(),
        })
    }

    /// A chart of the lines.
    pub(super) fn to_svg(&self, measure: Measure) -> String {
        let drawn = self.design.lines.iter().enumerate().filter(|(_, line)| line.is_drawn);
        let series = drawn.enumerate().map(|(index, (number, line))| Series {
            name: line.name.clone(),
            style: SeriesStyle::at(index),
            points: self.points(number, measure),
        });
        let (label, format) = match measure {
            Measure::Accuracy => ("mean accuracy (higher is better)", Format::Percent),
            Measure::Nats => ("nats/token (lower is better)", Format::Plain),
        };
        let reference = match measure {
            Measure::Accuracy => {
                Reference { y: self.results.chance, label: "random guessing".to_owned() }
            }
            Measure::Nats => {
                Reference { y: self.entropy_floor, label: "entropy of the corpus".to_owned() }
            }
        };
        let chart = Chart {
            title: format!("{}: {} by size", self.design.title, measure.name()),
            description: format!("{} Bars: one standard error each way.", self.design.paper),
            x: Axis { label: "layers".to_owned(), format: Format::Count },
            y: Axis { label: label.to_owned(), format },
            series: series.collect(),
            reference: Some(reference),
            here: None,
        };
        chart.to_svg(PICTURE.0, PICTURE.1)
    }

    fn points(&self, line: usize, measure: Measure) -> Vec<Point> {
        let sizes = self.sample().sizes(line);
        let point = |&n_layers: &usize| {
            let Estimate { mean, stderr } = self.sample().estimate(line, n_layers, measure);
            Point { x: n_layers as f64, y: mean, stderr: Some(stderr), note: None }
        };
        sizes.iter().map(point).collect()
    }

    /// `summary.md`: the paper's claims next to the results.
    pub(super) fn to_markdown(&self) -> String {
        let mut text = format!(
            "# {}\n\n{}\n\nCommand: `{}`.\n",
            self.design.title,
            self.design.paper.replace(". ", ".\n"),
            self.command
        );
        text.push_str("\n## Results\n\n");
        text.push_str("| claim | compared | accuracy | | loss | |\n|---|---|---|---|---|---|\n");
        for finding in self.findings {
            let Finding { claim, what, accuracy, loss } = finding;
            let cell = |judged: &Judged| format!("{} | {}", judged.found, judged.verdict.word());
            let _ = writeln!(text, "| {claim} | {what} | {} | {} |", cell(accuracy), cell(loss));
        }
        text.push_str(
            "\nDifferences are signed so that more is better, and averaged over the sizes between \
             student and teacher.\nAll models answer the same questions, so errors are standard \
             errors of paired differences: over students and over ten parts of the questions.\nA \
             claim is confirmed (or contradicted) when the difference (or its opposite) exceeds two \
             standard errors, and not significant in between; where the claim is \"as good as\", a \
             difference within two standard errors is \"no significant difference\".\nQuality climbs \
             when it is higher at the end and no step goes down by more than two standard errors.\n",
        );
        for measure in Measure::BOTH {
            let _ = write!(text, "\n## {}\n\n{}", title(measure), self.table(measure));
        }
        let _ = writeln!(
            text,
            "\nRandom guessing has an accuracy of {:.3}; the entropy of the corpus, a lower bound on \
             the loss, is {:.3} nats/token.\nThe last row is the mean over the whole curve \
             (trapezoidal rule); it is comparable only between curves with the same ends.",
            self.results.chance, self.entropy_floor
        );
        let _ = writeln!(text, "Evaluation took {}.", self.results.cost.sentence());
        if !self.results.remarks.is_empty() {
            text.push_str("\n## Choices made\n\n");
            for remark in &self.results.remarks {
                let _ = writeln!(text, "- {remark}");
            }
        }
        text
    }

    /// Sizes down, lines across.
    fn table(&self, measure: Measure) -> String {
        let lines = &self.design.lines;
        let names: Vec<&str> = lines.iter().map(|line| &*line.name).collect();
        let mut table = format!("| layers | {} |\n|---|", names.join(" | "));
        table.push_str(&"---|".repeat(lines.len()));
        table.push('\n');
        let sizes: Vec<Vec<usize>> =
            (0..lines.len()).map(|line| self.sample().sizes(line)).collect();
        let mut all: Vec<usize> = sizes.concat();
        all.sort_unstable();
        all.dedup();
        for n_layers in all {
            let cells = sizes.iter().enumerate().map(|(line, sizes)| {
                let is_there = sizes.contains(&n_layers);
                is_there.then(|| self.sample().estimate(line, n_layers, measure))
            });
            let _ = writeln!(table, "| {n_layers} | {} |", row(cells));
        }
        let areas = (0..lines.len()).map(|line| self.sample().area(line, measure));
        let _ = writeln!(table, "| mean | {} |", row(areas));
        table
    }
}

fn title(measure: Measure) -> &'static str {
    match measure {
        Measure::Accuracy => "Accuracy",
        Measure::Nats => "Loss",
    }
}

fn row(cells: impl Iterator<Item = Option<Estimate>>) -> String {
    let cell = |cell: Option<Estimate>| cell.map_or_else(String::new, |cell| cell.to_text(3));
    cells.map(cell).collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::super::design::{Kind, Line};
    use super::super::sample::tests::point;
    use super::super::searched::LayerCalls;
    use super::*;

    /// What is written of as many lines, each measured at two sizes.
    fn with_done<T>(names: &[&str], write: impl Fn(&Done<'_>) -> T) -> T {
        let lines = names.iter().map(|name| Line::new(*name, Kind::LeastInfluential));
        let design = Design { title: "Lines", paper: "", lines: lines.collect(), checks: vec![] };
        let points = (0..names.len())
            .flat_map(|line| [3, 4].map(|n_layers| point(line, 0, n_layers, [0.5, 0.7])));
        let results = Results {
            sample: Sample { points: points.collect() },
            chance: 0.25,
            cost: LayerCalls::default(),
            remarks: Vec::new(),
        };
        write(&Done {
            name: "lines",
            command: "",
            design: &design,
            results: &results,
            findings: &[],
            entropy_floor: 0.1,
        })
    }

    #[test]
    fn a_name_with_a_comma_is_one_field() {
        let csv = with_done(&["patched, last to first"], |done| done.to_csv());
        assert!(
            csv.lines().nth(1).unwrap().starts_with("\"patched, last to first\",0,3,"),
            "{csv}"
        );
    }

    #[test]
    fn every_line_is_drawn() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let svg = with_done(&names, |done| done.to_svg(Measure::Accuracy));
        let n_lines = svg.matches("class=\"line\"").count();
        // Each has one in the legend, too.
        assert_eq!(n_lines, 2 * names.len());
    }
}
