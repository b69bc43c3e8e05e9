//! The chart of a [`SizeCurve`] and its title.

use super::{Axis, Chart, Format, Point, Reference, Series, SeriesStyle};
use crate::curve::{CurveStop, Series as Measured, SizeCurve};
use crate::estimate::Estimate;

/// Quantity on the horizontal axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeAxis {
    Parameters,
    Layers,
    /// Size of the weights in megabytes (10⁶ bytes).
    Megabytes {
        bits_per_param: u32,
    },
}

/// Quantity on the vertical axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Mean over tasks.
    Accuracy,
    /// Nats/token.
    Nats,
}

impl SizeAxis {
    pub fn of(self, stop: &CurveStop) -> f64 {
        self.at(stop.n_params, stop.n_layers)
    }

    /// Horizontal value for a model of this size.
    pub fn at(self, n_params: u64, n_layers: usize) -> f64 {
        match self {
            Self::Parameters => n_params as f64,
            Self::Layers => n_layers as f64,
            Self::Megabytes { bits_per_param } => n_params as f64 * f64::from(bits_per_param) / 8e6,
        }
    }

    fn axis(self) -> Axis {
        let (label, format) = match self {
            Self::Parameters => ("parameters", Format::Count),
            Self::Layers => ("layers", Format::Count),
            Self::Megabytes { .. } => ("MB of weights", Format::Plain),
        };
        Axis { label: label.to_owned(), format }
    }
}

impl Measure {
    pub fn of(self, stop: &CurveStop) -> Option<Estimate> {
        match self {
            Self::Accuracy => stop.accuracy,
            Self::Nats => stop.nats,
        }
    }

    pub fn format(self) -> Format {
        match self {
            Self::Accuracy => Format::Percent,
            Self::Nats => Format::Plain,
        }
    }

    fn axis(self) -> Axis {
        let label = match self {
            Self::Accuracy => "mean accuracy (higher is better)",
            Self::Nats => "nats per token (lower is better)",
        };
        Axis { label: label.to_owned(), format: self.format() }
    }

    fn subject(self) -> &'static str {
        match self {
            Self::Accuracy => "Accuracy",
            Self::Nats => "Nats per token",
        }
    }
}

impl SizeCurve {
    /// Size against quality; `None` if this measure was not taken.
    pub fn chart(&self, size: SizeAxis, measure: Measure) -> Option<Chart> {
        let main = Measured::ALL.into_iter().zip(SeriesStyle::ALL).map(|(measured, style)| {
            let points = self.chart_points(&self.stops(measured), measured, size, measure);
            Series { name: describe_series(measured).0.to_owned(), style, points }
        });
        // The same family in other orders; only the curve's own has its ends named.
        let others = self.other_orders().into_iter().zip(Measured::ALL.len()..);
        let others = others.map(|(order, index)| {
            let stops = self.stops_in(Measured::Boomerang, order);
            let mut points = self.chart_points(&stops, Measured::Boomerang, size, measure);
            points.iter_mut().for_each(|point| point.note = None);
            let name =
                format!("{}, {}", describe_series(Measured::Boomerang).0, order_words(order));
            Series { name, style: SeriesStyle::at(index), points }
        });
        let series: Vec<Series> =
            main.chain(others).filter(|series| !series.points.is_empty()).collect();
        if series.is_empty() {
            return None;
        }
        Some(Chart {
            title: self.finding(measure),
            description: self.description(measure),
            x: size.axis(),
            y: measure.axis(),
            series,
            reference: self.guessing().filter(|_| measure == Measure::Accuracy),
            here: None,
        })
    }

    fn chart_points(
        &self,
        stops: &[CurveStop],
        measured: Measured,
        size: SizeAxis,
        measure: Measure,
    ) -> Vec<Point> {
        let last = stops.len().saturating_sub(1);
        stops
            .iter()
            .enumerate()
            .filter_map(|(index, stop)| {
                let estimate = measure.of(stop)?;
                let note = match index {
                    _ if measured != Measured::Boomerang => None,
                    0 => Some("student".to_owned()),
                    index if index == last => Some("teacher".to_owned()),
                    _ => None,
                };
                Some(Point {
                    x: size.of(stop),
                    y: estimate.mean,
                    stderr: Some(estimate.stderr).filter(|stderr| *stderr > 0.0),
                    note,
                })
            })
            .collect()
    }

    /// The measured numbers as a sentence, without judgment.
    fn finding(&self, measure: Measure) -> String {
        let value = |stop: &CurveStop| {
            measure.of(stop).map(|estimate| measure.format().value(estimate.mean))
        };
        let stops = self.stops(Measured::Boomerang);
        let ends = stops.first().zip(stops.last()).filter(|_| stops.len() > 1);
        let Some((student, teacher)) = ends else {
            return format!("{} by model size", measure.subject());
        };
        let (Some(at_student), Some(at_teacher)) = (value(student), value(teacher)) else {
            return format!("{} by model size", measure.subject());
        };
        let mut finding = format!(
            "{}: {at_student} for the student of {} layers, {at_teacher} for the teacher of {}.",
            measure.subject(),
            student.n_layers,
            teacher.n_layers,
        );
        let middle = &stops[stops.len() / 2];
        let naive = self.stops(Measured::Naive);
        let naive = naive.iter().find(|stop| stop.n_layers == middle.n_layers);
        if let (true, Some(ours)) = (stops.len() > 2, value(middle)) {
            finding.push_str(&format!(" Between them, {} layers reach {ours}", middle.n_layers));
            if let Some(naive) = naive.and_then(value) {
                finding
                    .push_str(&format!("; pruning alone, with the same number of layers, {naive}"));
            }
            finding.push('.');
        }
        finding
    }

    /// What each line shows.
    fn description(&self, measure: Measure) -> String {
        let is_measured =
            |series: &Measured| self.stops(*series).iter().any(|stop| measure.of(stop).is_some());
        let mut sentences: Vec<String> = Measured::ALL
            .into_iter()
            .filter(is_measured)
            .map(describe_series)
            .map(|(name, meaning)| format!("{name}: {meaning}."))
            .collect();
        sentences.push("Bars: one standard error each way.".to_owned());
        sentences.join(" ")
    }

    /// The mean chance level over tasks.
    fn guessing(&self) -> Option<Reference> {
        let point = self.points.iter().find(|point| !point.score.tasks.is_empty())?;
        let tasks = &point.score.tasks;
        let chance = tasks.values().map(|task| task.chance).sum::<f64>() / tasks.len() as f64;
        (chance > 0.0).then(|| Reference { y: chance, label: "random guessing".to_owned() })
    }
}

/// An order of patching as a chart names it.
fn order_words(order: &str) -> &str {
    match order {
        "first" => "first to last",
        "last" => "last to first",
        measured_here if measured_here.ends_with(SizeCurve::ON_THIS_DEVICE) => measured_here,
        _ => "searched order",
    }
}

/// A series' name for readers, and what it means.
pub fn describe_series(measured: Measured) -> (&'static str, &'static str) {
    match measured {
        Measured::Boomerang => ("Boomerang", "one distilled student, patched with teacher layers"),
        Measured::Naive => {
            ("Pruned, not distilled", "the teacher with layers removed, without training")
        }
        Measured::Random => (
            "Randomly initialized student",
            "a student distilled from random initialization, patched in the same \
                              way",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::curve::CurvePoint;
    use crate::evaluate::{Accuracy, Score};

    fn point(series: Measured, n_layers: usize, acc: f64) -> CurvePoint {
        let accuracy = Accuracy {
            acc,
            acc_norm: acc,
            acc_stderr: 0.01,
            acc_norm_stderr: 0.01,
            n_questions: 100,
            chance: 0.25,
        };
        CurvePoint {
            series,
            order: "last".to_owned(),
            seed: 0,
            n_patched: n_layers - 3,
            n_layers,
            n_params: n_layers as u64 * 1000,
            size_bytes: n_layers as u64 * 2000,
            score: Score {
                perplexity: None,
                tasks: BTreeMap::from([("arithmetic".to_owned(), accuracy)]),
            },
        }
    }

    fn curve() -> SizeCurve {
        SizeCurve::new(vec![
            point(Measured::Boomerang, 3, 0.4),
            point(Measured::Boomerang, 4, 0.55),
            point(Measured::Boomerang, 5, 0.7),
            point(Measured::Naive, 4, 0.3),
        ])
    }

    #[test]
    fn the_title_states_the_finding() {
        let chart = curve().chart(SizeAxis::Parameters, Measure::Accuracy).unwrap();
        assert_eq!(
            chart.title,
            "Accuracy: 40.0 % for the student of 3 layers, 70.0 % for the teacher of 5. Between \
             them, 4 layers reach 55.0 %; pruning alone, with the same number of layers, 30.0 %."
        );
    }

    #[test]
    fn another_order_is_a_line_of_its_own() {
        let mut curve = curve();
        let other = CurvePoint { order: "first".to_owned(), ..point(Measured::Boomerang, 4, 0.5) };
        curve.points.push(other);
        let chart = curve.chart(SizeAxis::Layers, Measure::Accuracy).unwrap();
        let names: Vec<&str> = chart.series.iter().map(|series| &*series.name).collect();
        assert_eq!(names, ["Boomerang", "Pruned, not distilled", "Boomerang, first to last"]);
        assert_eq!(chart.series[2].points.len(), 1);
    }

    #[test]
    fn a_line_that_was_measured_on_this_device_says_so() {
        let mut curve = curve();
        let order = SizeCurve::ON_THIS_DEVICE.to_owned();
        curve.points.push(CurvePoint { order, ..point(Measured::Boomerang, 4, 0.5) });
        let chart = curve.chart(SizeAxis::Layers, Measure::Accuracy).unwrap();
        assert_eq!(chart.series[2].name, "Boomerang, on this device");
    }

    #[test]
    fn the_description_explains_only_the_drawn_lines() {
        let chart = curve().chart(SizeAxis::Parameters, Measure::Accuracy).unwrap();
        assert!(chart.description.starts_with("Boomerang: "));
        assert!(
            chart.description.contains("Pruned, not distilled: ")
                && !chart.description.contains("Random")
        );
    }

    #[test]
    fn only_the_ends_of_the_family_are_named() {
        let chart = curve().chart(SizeAxis::Layers, Measure::Accuracy).unwrap();
        let notes: Vec<_> =
            chart.series[0].points.iter().map(|point| point.note.as_deref()).collect();
        assert_eq!(notes, [Some("student"), None, Some("teacher")]);
        assert!(chart.series[1].points.iter().all(|point| point.note.is_none()));
    }

    #[test]
    fn megabytes_follow_from_bits_per_parameter() {
        let axis = SizeAxis::Megabytes { bits_per_param: 16 };
        assert_eq!(axis.at(3_000_000, 4), 6.0);
        let chart = curve().chart(axis, Measure::Accuracy).unwrap();
        assert_eq!(chart.x.label, "MB of weights");
    }

    #[test]
    fn what_was_not_measured_has_no_chart() {
        assert_eq!(curve().chart(SizeAxis::Layers, Measure::Nats), None);
    }

    #[test]
    fn guessing_is_a_level_of_accuracy() {
        let chart = curve().chart(SizeAxis::Layers, Measure::Accuracy).unwrap();
        assert_eq!(chart.reference.unwrap().y, 0.25);
    }
}
