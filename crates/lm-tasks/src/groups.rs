//! Metrics over all tasks of a group.

use super::definition::{Group, GroupMetric};
use super::score::{Measure, TaskScore};
use super::statistics::group_stderr;

/// A group with its members.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskGroup {
    pub group: Group,
    /// Names of its tasks and groups.
    pub children: Vec<String>,
    /// Names of all tasks in it and in its groups.
    pub tasks: Vec<String>,
}

/// A metric of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupMeasure {
    pub metric: String,
    pub filter: String,
    pub value: f64,
    pub stderr: Option<f64>,
    /// Number of documents.
    pub n: usize,
}

impl TaskGroup {
    /// From the scores of tasks by name; a task without a metric does not count for it.
    pub fn measures(&self, scores: &[(&str, &TaskScore)]) -> Vec<GroupMeasure> {
        let own: Vec<&TaskScore> = self
            .tasks
            .iter()
            .filter_map(|name| {
                scores.iter().find(|(other, _)| other == name).map(|(_, score)| *score)
            })
            .collect();
        self.group.metrics.iter().flat_map(|metric| measures(metric, &own)).collect()
    }
}

fn measures(metric: &GroupMetric, scores: &[&TaskScore]) -> Vec<GroupMeasure> {
    let filters = metric.filters.clone().unwrap_or_else(|| {
        let all = scores.iter().flat_map(|score| &score.measures);
        let mut found: Vec<String> = all
            .filter(|measure| measure.metric == metric.metric)
            .map(|measure| measure.filter.clone())
            .collect();
        found.sort();
        found.dedup();
        found
    });
    filters.into_iter().filter_map(|filter| measure(metric, filter, scores)).collect()
}

fn measure(metric: &GroupMetric, filter: String, scores: &[&TaskScore]) -> Option<GroupMeasure> {
    let of_score = |score: &&TaskScore| -> Option<(Measure, usize)> {
        let mut measures = score.measures.iter();
        let found = measures.find(|found| found.metric == metric.metric && found.filter == filter);
        found.map(|found| (found.clone(), score.n))
    };
    let (measures, sizes): (Vec<Measure>, Vec<usize>) = scores.iter().filter_map(of_score).unzip();
    let n = sizes.iter().sum();
    if n == 0 {
        return None;
    }
    let weight = |size: &usize| if metric.is_weighted { *size as f64 } else { 1.0 };
    let sum: f64 =
        measures.iter().zip(&sizes).map(|(found, size)| found.value * weight(size)).sum();
    let weights: f64 = sizes.iter().map(weight).sum();
    let stderrs: Option<Vec<f64>> = measures.iter().map(|found| found.stderr).collect();
    let stderr = stderrs.map(|stderrs| group_stderr(&stderrs, &sizes, metric.is_weighted));
    Some(GroupMeasure { metric: metric.metric.clone(), filter, value: sum / weights, stderr, n })
}

#[cfg(test)]
mod tests {
    use super::super::definition::parse;
    use super::*;

    fn score(value: f64, n: usize) -> TaskScore {
        let measure = Measure {
            metric: "acc",
            filter: "none".to_owned(),
            value,
            stderr: Some(0.1),
            higher_is_better: true,
        };
        TaskScore { n, measures: vec![measure], records: Vec::new() }
    }

    #[test]
    fn tasks_count_by_their_sizes_unless_it_is_said() {
        let value = |weighted: &str| {
            let yaml = format!(
                "group: g\ntask: [a, b]\naggregate_metric_list: [{{metric: acc, weight_by_size: {weighted}}}]\n"
            );
            let group = Group::new(parse(&yaml).unwrap()).unwrap();
            let names = vec!["a".to_owned(), "b".to_owned()];
            let group = TaskGroup { group, children: names.clone(), tasks: names };
            group.measures(&[("a", &score(1.0, 30)), ("b", &score(0.0, 10))])[0].value
        };
        assert!((value("true") - 0.75).abs() < 1e-12);
        assert!((value("false") - 0.5).abs() < 1e-12);
    }
}
