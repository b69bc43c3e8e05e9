//! Lines as charts and tables.

use boomerang_core::chart::{Axis, Chart, Format, Point, Reference, Series, SeriesStyle};

use crate::findings::{capital, main_line, shape};
use crate::lines::{Line, SizeAxis, Tasks};
use crate::metric::Metric;
use crate::table::Table;

/// A metric over size; `None` when no line has both.
pub(crate) fn chart(
    lines: &[Line],
    tasks: &Tasks,
    metric: &Metric,
    axis: SizeAxis,
) -> Option<Chart> {
    let (factor, label) = unit(lines, axis);
    let main = main_line(lines);
    let series = lines.iter().enumerate().filter_map(|(index, line)| {
        let points = points(line, metric, axis, factor, main == Some(line));
        (!points.is_empty()).then(|| Series {
            name: line.name.clone(),
            style: SeriesStyle::at(index),
            points,
        })
    });
    let mut series: Vec<Series> = series.collect();
    // The title names the main line first.
    let first = main.and_then(|main| series.iter().position(|series| series.name == main.name));
    if let Some(first) = first {
        series[..=first].rotate_right(1);
    }
    let better = if metric.higher_is_better { "higher" } else { "lower" };
    let names: Vec<&str> = series.iter().map(|series| series.name.as_str()).collect();
    let description = format!(
        "{} by {} for {}. Bars: one standard error each way.",
        metric.words(),
        axis.words(),
        names.join(", ")
    );
    (!series.is_empty()).then(|| Chart {
        title: title(lines, metric),
        description,
        x: Axis {
            label,
            format: match axis {
                SizeAxis::Params | SizeAxis::Layers => Format::Count,
                SizeAxis::Bytes | SizeAxis::Time => Format::Plain,
            },
        },
        y: Axis {
            label: format!("{} ({better} is better)", metric.words()),
            format: metric.format,
        },
        reference: metric
            .chance(tasks)
            .filter(|chance| *chance > 0.0)
            .map(|y| Reference { y, label: "random guessing".to_owned() }),
        series,
        here: None,
    })
}

/// The divisor and the unit of sizes on an axis.
fn unit(lines: &[Line], axis: SizeAxis) -> (f64, String) {
    if axis != SizeAxis::Bytes {
        return (1.0, axis.words().to_owned());
    }
    let sizes = lines.iter().flat_map(|line| &line.members).filter_map(|member| member.size_bytes);
    let (factor, words) = match sizes.max().unwrap_or(0) {
        most if most >= 2_000_000_000 => (1e9, "gigabytes"),
        most if most >= 2_000_000 => (1e6, "megabytes"),
        _ => (1e3, "kilobytes"),
    };
    (factor, words.to_owned())
}

fn points(line: &Line, metric: &Metric, axis: SizeAxis, factor: f64, is_main: bool) -> Vec<Point> {
    let stops = line.stops();
    let last = stops.len().saturating_sub(1);
    let mut points: Vec<Point> = stops
        .iter()
        .enumerate()
        .filter_map(|(index, stop)| {
            let estimate = stop.estimate(|member| metric.of(member))?;
            let note = match index {
                _ if !is_main || line.series != "boomerang" || last == 0 => None,
                0 => Some("student".to_owned()),
                index if index == last => Some("teacher".to_owned()),
                _ => None,
            };
            Some(Point {
                x: axis.of(stop)? / factor,
                y: estimate.mean,
                stderr: Some(estimate.stderr).filter(|stderr| *stderr > 0.0),
                note,
            })
        })
        .collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    points
}

fn title(lines: &[Line], metric: &Metric) -> String {
    let Some(line) = main_line(lines) else { return capital(&metric.words()) };
    let stops = line.stops();
    let value = |index: usize| {
        let stop = stops.get(index)?;
        let mean = stop.estimate(|member| metric.of(member))?.mean;
        Some(format!("{} at {}", metric.show(mean), stop.words()))
    };
    match (value(0), value(stops.len().saturating_sub(1))) {
        (Some(first), Some(last)) if stops.len() > 1 => {
            format!("{}: {first}, {last}", capital(&metric.words()))
        }
        _ => capital(&metric.words()),
    }
}

/// Every size of every line, with its measures of size and `metrics`.
pub(crate) fn sizes_table(lines: &[Line], metrics: &[&Metric]) -> Table {
    let words: Vec<String> = metrics.iter().map(|metric| format!("{}#", metric.words())).collect();
    let has_seconds =
        lines.iter().flat_map(|line| &line.members).any(|member| member.seconds.is_some());
    let mut columns = vec!["line", "layers#", "parameters#", "megabytes#"];
    if has_seconds {
        columns.push("seconds#");
    }
    columns.extend(words.iter().map(String::as_str));
    let mut table = Table::new("Every size, averaged over seeds; ± one standard error.", &columns);
    for line in lines {
        for stop in line.stops() {
            let first = stop.members[0];
            let count =
                |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
            let mut row = vec![
                line.name.clone(),
                count(first.n_layers),
                first.n_params.map(|n| Format::Count.value(n as f64)).unwrap_or_default(),
                first
                    .size_bytes
                    .map(|bytes| format!("{:.1}", bytes as f64 / 1e6))
                    .unwrap_or_default(),
            ];
            if has_seconds {
                let seconds = SizeAxis::Time.of(&stop);
                row.push(seconds.map(|seconds| format!("{seconds:.2}")).unwrap_or_default());
            }
            row.extend(metrics.iter().map(|metric| {
                let estimate = stop.estimate(|member| metric.of(member));
                estimate.map_or_else(String::new, |estimate| match metric.format {
                    Format::Percent => {
                        format!("{} %", estimate.scaled(100.0).to_text(1))
                    }
                    _ => estimate.to_text(3),
                })
            }));
            table.push(row);
        }
    }
    table
}

/// All results, one number per row.
pub(crate) fn results_table(lines: &[Line]) -> Table {
    let columns = [
        "line",
        "member",
        "seed#",
        "n_layers#",
        "n_params#",
        "size_bytes#",
        "seconds#",
        "task",
        "metric",
        "value#",
        "stderr#",
    ];
    let mut table = Table::new("", &columns);
    for line in lines {
        for member in &line.members {
            for (task, results) in &member.results {
                for (metric, measured) in results {
                    let count =
                        |count: Option<u64>| count.map(|n| n.to_string()).unwrap_or_default();
                    let number =
                        |value: Option<f64>| value.map(|n| n.to_string()).unwrap_or_default();
                    table.push([
                        line.name.clone(),
                        member.name.clone(),
                        member.seed.to_string(),
                        count(member.n_layers),
                        count(member.n_params),
                        count(member.size_bytes),
                        number(member.seconds),
                        task.clone(),
                        metric.clone(),
                        number(Some(measured.value)),
                        number(measured.stderr),
                    ]);
                }
            }
        }
    }
    table
}

/// How smoothly each line rises.
pub(crate) fn shapes_table(lines: &[Line], metric: &Metric) -> Table {
    let caption = format!("How {} grows with the number of parameters.", metric.words());
    let columns = [
        "line",
        "steps#",
        "steps down#",
        "largest fall#",
        "Kendall τ#",
        "area above the line#",
        "largest step, of the rise#",
    ];
    let mut table = Table::new(caption, &columns);
    for line in lines {
        let Some(shape) = shape(line, metric) else { continue };
        let stops = line.stops();
        let fall = shape.largest_fall.map_or_else(
            || "none".to_owned(),
            |fall| {
                let by = metric.show_difference(fall.by);
                let by = by.trim_start_matches('+');
                format!("{by}, {} to {}", stops[fall.from].words(), stops[fall.to].words())
            },
        );
        let number =
            |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |n| format!("{n:.2}"));
        table.push([
            line.name.clone(),
            shape.n_steps.to_string(),
            shape.n_falls.to_string(),
            fall,
            number(shape.kendall_tau),
            number(shape.area_above_line),
            number(shape.largest_jump),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::tests::{line, tasks};

    fn lines() -> [Line; 2] {
        [line("naive", &[(4, 0.3)]), line("boomerang", &[(3, 0.4), (4, 0.55), (5, 0.7)])]
    }

    fn metric() -> Metric {
        Metric::all(&tasks(), &lines()).remove(0)
    }

    #[test]
    fn the_family_is_drawn_on_top_with_its_ends_named() {
        let chart = chart(&lines(), &tasks(), &metric(), SizeAxis::Params).unwrap();
        assert_eq!(chart.series[0].name, "boomerang");
        let notes: Vec<_> =
            chart.series[0].points.iter().map(|point| point.note.as_deref()).collect();
        assert_eq!(notes, [Some("student"), None, Some("teacher")]);
        assert_eq!(chart.reference.unwrap().y, 0.25);
    }

    #[test]
    fn bytes_are_drawn_in_a_unit_for_people() {
        let chart = chart(&lines(), &tasks(), &metric(), SizeAxis::Bytes).unwrap();
        assert_eq!((chart.x.label.as_str(), chart.series[0].points[0].x), ("megabytes", 6.0));
    }

    #[test]
    fn what_was_not_timed_has_no_chart_over_time() {
        assert_eq!(chart(&lines(), &tasks(), &metric(), SizeAxis::Time), None);
    }

    #[test]
    fn every_number_is_in_the_results() {
        assert_eq!(results_table(&lines()).rows.len(), 4);
        assert_eq!(sizes_table(&lines(), &[&metric()]).rows[1][4], "40.0 ± 1.0 %");
    }
}
