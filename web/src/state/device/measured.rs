//! Accuracy and speed of the sizes on this machine.

use boomerang_core::bundle::TaskFile;
use boomerang_core::chart::{Axis, Chart, Format, Point, Reference, Series, SeriesStyle};
use boomerang_engine::messages::{DecodingSpeed, MeasuredMember};

use crate::family::MemberSize;
use crate::text::format;

/// A size and its measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasuredSize {
    pub size: MemberSize,
    pub measured: MeasuredMember,
}

impl MeasuredSize {
    pub fn millis_per_token(&self) -> f64 {
        1000.0 / self.measured.speed.median.max(f64::MIN_POSITIVE)
    }

    /// Tokens per second, the median run and the slowest to the fastest: `50 (48–52)`.
    pub fn speed_in_words(&self) -> String {
        let DecodingSpeed { median, lowest, highest, .. } = self.measured.speed;
        let [median, lowest, highest] = [median, lowest, highest].map(format::speed);
        format!("{median} ({lowest}–{highest})")
    }
}

/// The fraction of correct answers, and its standard error for at least two questions.
pub fn accuracy(measured: &MeasuredMember) -> Option<(f64, Option<f64>)> {
    let n_questions = measured.n_questions as f64;
    let share = measured.n_correct as f64 / n_questions;
    let stderr = || (share * (1.0 - share) / (n_questions - 1.0)).sqrt();
    (measured.n_questions > 0).then(|| (share, (measured.n_questions > 1).then(stderr)))
}

/// A comparison of the smallest and the largest size; `None` until both are measured.
pub fn finding(sizes: &[MeasuredSize]) -> Option<String> {
    let (first, last) = sizes.first().zip(sizes.last()).filter(|_| sizes.len() > 1)?;
    let layers = |of: &MeasuredSize| format::count(of.size.n_layers, "layer");
    let speeds = format!(
        "{} tokens per second at {}, {} at {}",
        first.speed_in_words(),
        layers(first),
        last.speed_in_words(),
        layers(last)
    );
    let shares = accuracy(&first.measured).zip(accuracy(&last.measured));
    Some(match shares {
        Some(((low, _), (high, _))) => format!(
            "From {} to {} layers, {} to {} of the answers are correct on this machine; it generates \
             {speeds}.",
            first.size.n_layers,
            last.size.n_layers,
            format::percent(low),
            format::percent(high),
        ),
        None => format!("This machine generates {speeds}."),
    })
}

/// Accuracy against time; `None` where no questions were asked. The last of `n_all` sizes is the
/// teacher.
pub fn chart(sizes: &[MeasuredSize], task: Option<&TaskFile>, n_all: usize) -> Option<Chart> {
    let title = finding(sizes)?;
    let point = |(index, of): (usize, &MeasuredSize)| {
        let (y, stderr) = accuracy(&of.measured)?;
        let note = match index {
            0 => Some("student".to_owned()),
            index if index + 1 == n_all => Some("teacher".to_owned()),
            _ => None,
        };
        Some(Point { x: of.millis_per_token(), y, stderr, note })
    };
    let mut points: Vec<Point> = Vec::with_capacity(sizes.len());
    for point in sizes.iter().enumerate().map(point) {
        let point = point?;
        // A larger size may happen to be faster.
        let is_before = |it: &Point| it.x.total_cmp(&point.x).is_le();
        points.insert(points.partition_point(is_before), point);
    }
    let name = "Boomerang, on this machine".to_owned();
    Some(Chart {
        title,
        description:
            "One point for each size: the time per token, in the median of repeated runs, and the \
             accuracy on this machine. Bars: one standard error of the accuracy each way."
                .to_owned(),
        x: Axis { label: "ms per token (lower is faster)".to_owned(), format: Format::Plain },
        y: Axis { label: "accuracy (higher is better)".to_owned(), format: Format::Percent },
        series: vec![Series { name, style: SeriesStyle::First, points }],
        reference: task.and_then(guessing),
        here: None,
    })
}

/// The accuracy of random guessing; NaN without questions.
pub fn chance(task: &TaskFile) -> f64 {
    let chances = task.questions.iter().map(|question| 1.0 / question.choices.len() as f64);
    chances.sum::<f64>() / task.questions.len() as f64
}

fn guessing(task: &TaskFile) -> Option<Reference> {
    let mean = chance(task);
    mean.is_finite().then(|| Reference { y: mean, label: "guessing".to_owned() })
}

/// A line for each size, for a spreadsheet.
pub fn csv(sizes: &[MeasuredSize]) -> String {
    let mut csv = "layers,parameters,correct,questions,accuracy,accuracy_stderr,questions_millis,\
                   tokens_per_second,tokens_per_second_lowest,tokens_per_second_highest,runs,\
                   millis_per_token,memory_bytes\n"
        .to_owned();
    let number = |value: Option<f64>| value.map(|value| format!("{value:.6}")).unwrap_or_default();
    for of in sizes {
        let MeasuredMember { n_correct, n_questions, millis, speed, heap_bytes } = of.measured;
        let DecodingSpeed { median, lowest, highest, n_runs } = speed;
        let found = accuracy(&of.measured);
        csv.push_str(&format!(
            "{},{},{n_correct},{n_questions},{},{},{millis:.1},{median:.3},{lowest:.3},{highest:.3},{n_runs},{:.3},{heap_bytes}\n",
            of.size.n_layers,
            of.size.n_params,
            number(found.map(|(share, _)| share)),
            number(found.and_then(|(_, stderr)| stderr)),
            of.millis_per_token(),
        ));
    }
    csv
}

#[cfg(test)]
pub(super) mod tests {
    use boomerang_core::evaluate::ChoiceDoc;

    use super::*;

    pub(in crate::state::device) fn sizes() -> Vec<MeasuredSize> {
        let of = |n_layers: usize, n_correct, median: f64| MeasuredSize {
            size: MemberSize { n_layers, n_params: n_layers as u64 * 1000, n_bytes: 0 },
            measured: MeasuredMember {
                n_correct,
                n_questions: 5,
                millis: 120.0,
                speed: DecodingSpeed {
                    median,
                    lowest: median - 2.0,
                    highest: median + 3.0,
                    n_runs: 5,
                },
                heap_bytes: 40_000_000,
            },
        };
        vec![of(4, 2, 50.0), of(5, 3, 62.5), of(6, 4, 40.0)]
    }

    #[test]
    fn a_share_comes_with_the_error_of_a_sample() {
        let (share, stderr) = accuracy(&sizes()[0].measured).unwrap();
        assert!((share - 0.4).abs() < 1e-12 && (stderr.unwrap() - 0.06_f64.sqrt()).abs() < 1e-12);
        let none = MeasuredMember { n_questions: 0, n_correct: 0, ..sizes()[0].measured };
        assert_eq!(accuracy(&none), None);
    }

    #[test]
    fn the_finding_compares_both_ends() {
        assert_eq!(
            finding(&sizes()).unwrap(),
            "From 4 to 6 layers, 40.0 % to 80.0 % of the answers are correct on this machine; it \
             generates 50 (48–53) tokens per second at 4 layers, 40 (38–43) at 6 layers."
        );
        assert_eq!(finding(&sizes()[..1]), None);
    }

    #[test]
    fn points_of_the_chart_go_from_fast_to_slow() {
        let question = ChoiceDoc {
            task: String::new(),
            context: "q".to_owned(),
            choices: ["a", "b", "c", "d"].map(str::to_owned).into(),
            gold: 0,
        };
        let task = TaskFile {
            name: "task".to_owned(),
            questions: vec![question],
            paragraph: String::new(),
        };
        let chart = chart(&sizes(), Some(&task), 3).unwrap();
        let points = &chart.series[0].points;
        assert_eq!(points.iter().map(|point| point.x).collect::<Vec<_>>(), [16.0, 20.0, 25.0]);
        assert_eq!(points[1].note.as_deref(), Some("student"));
        assert_eq!(chart.reference.unwrap().y, 0.25);
    }

    #[test]
    fn the_file_has_a_line_for_each_size() {
        let csv = csv(&sizes());
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines[1],
            "4,4000,2,5,0.400000,0.244949,120.0,50.000,48.000,53.000,5,20.000,40000000"
        );
    }
}
