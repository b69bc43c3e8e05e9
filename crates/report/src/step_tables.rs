//! Comparisons of sizes as tables.

use boomerang_core::chart::Format;
use boomerang_core::compare::{McNemarMethod, Resampled};

use crate::metric::Metric;
use crate::steps::{Step, Steps};
use crate::table::Table;

impl Steps {
    /// The comparisons as tables: neighbors, with the largest, and neighbors task by task.
    pub(crate) fn tables(&self, metric: &Metric) -> [Table; 3] {
        let words = metric.words();
        let next = format!("{}: each size with the next, {words}.", self.line);
        let largest = format!("{}: each size with the largest, {words}.", self.line);
        let by_task = format!("{}: each size with the next, task by task.", self.line);
        [
            table(&next, &self.next, metric),
            table(&largest, &self.largest, metric),
            task_table(&by_task, &self.next, metric),
        ]
    }
}

fn table(caption: &str, steps: &[Step], metric: &Metric) -> Table {
    let columns = [
        "from",
        "to",
        "questions#",
        "difference#",
        "95 % interval#",
        "bootstrap p#",
        "corrected#",
        "only the first right#",
        "only the second right#",
        "McNemar p#",
        "corrected#",
        "at 5 % the second is",
    ];
    let mut table = Table::new(caption, &columns);
    for step in steps {
        let mut row = vec![
            step.first.clone(),
            step.second.clone(),
            step.n_questions.to_string(),
            metric.show_difference(step.mean.difference),
            interval(&step.mean, metric),
            p_value(step.mean.p_value),
            p_value(step.corrected),
        ];
        match step.mcnemar {
            Some(found) => row.extend([
                found.only_first.to_string(),
                found.only_second.to_string(),
                p_value(found.p_value),
                step.mcnemar_corrected.map(p_value).unwrap_or_default(),
            ]),
            None => row.extend([const { String::new() }; 4]),
        }
        row.push(step.verdict(metric).to_owned());
        table.push(row);
    }
    table
}

fn task_table(caption: &str, steps: &[Step], metric: &Metric) -> Table {
    let columns = [
        "from",
        "to",
        "task",
        "questions#",
        "difference#",
        "95 % interval#",
        "p#",
        "corrected#",
        "test",
    ];
    let mut table = Table::new(caption, &columns);
    for step in steps {
        for task in &step.by_task {
            let (p, test) = match task.mcnemar {
                Some(found) if found.method == McNemarMethod::Exact => {
                    (found.p_value, "McNemar, exact")
                }
                Some(found) => (found.p_value, "McNemar, corrected"),
                None => (task.difference.p_value, "bootstrap"),
            };
            table.push([
                step.first.clone(),
                step.second.clone(),
                task.task.clone(),
                task.n_questions.to_string(),
                metric.show_difference(task.difference.difference),
                interval(&task.difference, metric),
                p_value(p),
                p_value(task.corrected),
                test.to_owned(),
            ]);
        }
    }
    table
}

/// Signs are kept for values that round to zero, to show on which side of it an end is.
fn interval(found: &Resampled, metric: &Metric) -> String {
    match metric.format {
        Format::Percent => format!("{:+.1} to {:+.1}", found.low * 100.0, found.high * 100.0),
        Format::Plain | Format::Count => format!("{:+.3} to {:+.3}", found.low, found.high),
    }
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p_value_is_never_shown_as_zero() {
        assert_eq!((p_value(0.0004), p_value(0.0421)), ("< 0.001".to_owned(), "0.042".to_owned()));
    }
}
