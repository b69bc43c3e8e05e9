//! The main results, in sentences.

use boomerang_core::chart::Format;
use boomerang_core::compare::Shape;

use crate::lines::{Line, Stop};
use crate::metric::Metric;
use crate::steps::Steps;

/// The share of the teacher's quality above which a small size is highlighted.
const NEARLY: f64 = 0.95;

/// All findings about the main line, the most important first.
pub(crate) fn findings(lines: &[Line], metric: &Metric, steps: Option<&Steps>) -> Vec<String> {
    let Some(line) = main_line(lines) else { return Vec::new() };
    let stops = line.stops();
    let measured: Vec<(&Stop<'_>, f64)> = stops
        .iter()
        .filter_map(|stop| Some((stop, stop.estimate(|member| metric.of(member))?.mean)))
        .collect();
    let mut sentences = Vec::new();
    sentences.extend(kept_sentence(&measured, metric));
    sentences.extend(shape_sentence(line, metric));
    for other in lines.iter().filter(|other| other.series == "naive") {
        sentences.extend(beside_sentence(&measured, other, metric));
    }
    sentences.extend(steps.map(|steps| steps_sentence(steps, metric)));
    sentences
}

/// The line that the report is about.
pub(crate) fn main_line(lines: &[Line]) -> Option<&Line> {
    let named = lines.iter().find(|line| line.series == "boomerang");
    named.or_else(|| lines.iter().find(|line| !line.is_import())).or_else(|| lines.first())
}

/// The smallest size that is nearly as good as the largest.
fn kept_sentence(measured: &[(&Stop<'_>, f64)], metric: &Metric) -> Option<String> {
    let (&(largest, at_largest), smaller) = measured.split_last()?;
    let words = metric.words();
    let shown = |value| metric.show(value);
    if metric.higher_is_better && at_largest > 0.0 {
        let nearly = smaller.iter().find(|(_, value)| *value >= NEARLY * at_largest);
        let best = smaller.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let (stop, value) = nearly.or(best)?;
        return Some(format!(
            "{} keep {:.0} % of the largest model's {words}: {} against {} for {}{}.",
            capital(&sized(stop)),
            value / at_largest * 100.0,
            shown(*value),
            shown(at_largest),
            sized(largest),
            if nearly.is_some() { "" } else { ", the best of the smaller sizes" },
        ));
    }
    let (stop, value) =
        smaller.iter().min_by(|a, b| metric.quality(b.1).total_cmp(&metric.quality(a.1)))?;
    Some(format!(
        "{} come closest to the largest model's {words}: {} against {} for {}.",
        capital(&sized(stop)),
        shown(*value),
        shown(at_largest),
        sized(largest)
    ))
}

/// How the line rises.
fn shape_sentence(line: &Line, metric: &Metric) -> Option<String> {
    let stops = line.stops();
    let shape = shape(line, metric)?;
    if shape.n_steps < 2 {
        return None;
    }
    let mut sentence = match shape.n_falls {
        0 => format!("{} never gets worse from one size to the next", capital(&metric.words())),
        n => {
            let fall = shape.largest_fall?;
            format!(
                "{} gets worse on {n} of {} steps to the next size, at most by {} (from {} to {})",
                capital(&metric.words()),
                shape.n_steps,
                metric.show_difference(fall.by).trim_start_matches('+'),
                stops.get(fall.from)?.words(),
                stops.get(fall.to)?.words()
            )
        }
    };
    if let Some(jump) = shape.largest_jump {
        sentence.push_str(&format!(
            "; the largest step accounts for {:.0} % of the total gain (equal steps: {:.0} %)",
            jump * 100.0,
            100.0 / shape.n_steps as f64
        ));
    }
    Some(sentence + ".")
}

/// The figures of a line's curve, over layers or else parameters; `None` without two sizes, or when
/// one of them was not measured.
pub(crate) fn shape(line: &Line, metric: &Metric) -> Option<Shape> {
    let points: Option<Vec<(f64, f64)>> = line
        .stops()
        .iter()
        .map(|stop| {
            let first = stop.members[0];
            let size = first.n_params.or(first.n_layers)? as f64;
            let value = stop.estimate(|member| metric.of(member))?.mean;
            Some((size, metric.quality(value)))
        })
        .collect();
    points.filter(|points| points.len() > 1).map(|points| Shape::of(&points))
}

/// The middle size against the same size of another line.
fn beside_sentence(measured: &[(&Stop<'_>, f64)], other: &Line, metric: &Metric) -> Option<String> {
    // Student and teacher themselves show nothing about patching.
    let between = measured.get(1..measured.len().checked_sub(1)?)?;
    let (stop, ours) = between.get(between.len() / 2)?;
    let n_layers = stop.members[0].n_layers?;
    let others = other.stops();
    let theirs = others.iter().find(|other| other.members[0].n_layers == Some(n_layers))?;
    let theirs = theirs.estimate(|member| metric.of(member))?.mean;
    Some(format!(
        "At {n_layers} layers the family reaches {}; pruning alone, with the same number of layers, {}.",
        metric.show(*ours),
        metric.show(theirs)
    ))
}

fn steps_sentence(steps: &Steps, metric: &Metric) -> String {
    let n_alike = steps.next.iter().filter(|step| !step.differs()).count();
    let mut sentence = format!(
        "{n_alike} of {} pairs of neighboring sizes do not differ significantly in {} (5 % level, paired \
         bootstrap, Holm's correction)",
        steps.next.len(),
        metric.words()
    );
    let alike = steps.largest.iter().find(|step| !step.differs());
    match alike {
        Some(step) => sentence.push_str(&format!(
            "; the smallest size without a significant difference from the largest has {}.",
            step.first
        )),
        None => sentence.push_str("; every smaller size differs significantly from the largest."),
    }
    sentence
}

/// `9 layers (4.2 M parameters)`
fn sized(stop: &Stop<'_>) -> String {
    match stop.members[0].n_params {
        Some(n_params) => {
            format!("{} ({} parameters)", stop.words(), Format::Count.value(n_params as f64))
        }
        None => stop.words(),
    }
}

pub(crate) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::tests::{line, tasks};
    use crate::steps::tests::answered;

    fn shown(lines: &[Line]) -> Vec<String> {
        let metric = Metric::all(&tasks(), lines).remove(0);
        findings(lines, &metric, None)
    }

    #[test]
    fn the_smallest_size_that_is_nearly_as_good_is_named() {
        let lines = [line("boomerang", &[(7, 0.70), (8, 0.80), (9, 0.873), (12, 0.90)])];
        assert_eq!(
            shown(&lines)[0],
            "9 layers (9.00 M parameters) keep 97 % of the largest model's arc acc: 87.3 % against 90.0 % \
             for 12 layers (12.0 M parameters)."
        );
    }

    #[test]
    fn falls_are_named_with_their_sizes() {
        let lines = [line("boomerang", &[(7, 0.70), (8, 0.80), (9, 0.75), (12, 0.90)])];
        assert_eq!(
            shown(&lines)[1],
            "Arc acc gets worse on 1 of 3 steps to the next size, at most by 5.0 points (from 8 layers to \
             9 layers); the largest step accounts for 75 % of the total gain (equal steps: 33 %)."
        );
    }

    #[test]
    fn pruning_alone_is_named_for_comparison() {
        let lines =
            [line("boomerang", &[(3, 0.4), (4, 0.55), (5, 0.7)]), line("naive", &[(4, 0.3)])];
        assert!(shown(&lines).iter().any(|sentence| sentence
            == "At 4 layers the family reaches 55.0 %; pruning alone, with the same number of layers, 30.0 %."));
    }

    #[test]
    fn sizes_without_a_significant_difference_from_the_largest_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let line = answered(folder.path(), &[40, 78, 80], 100);
        let metric = Metric::all(&tasks(), std::slice::from_ref(&line)).remove(0);
        let steps = Steps::of(&line, &metric, 500, 0).unwrap();
        let shown = findings(&[line], &metric, steps.as_ref());
        assert!(shown.last().unwrap().ends_with("the largest has 4 layers."), "{shown:?}");
    }

    #[test]
    fn a_single_size_has_no_findings() {
        assert!(shown(&[line("boomerang", &[(7, 0.70)])]).is_empty());
    }
}
