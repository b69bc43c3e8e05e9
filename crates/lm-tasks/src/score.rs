//! Scores of answers: of each document, and of the task.

use boomerang_core::evaluate::Answer;

use super::definition::MetricEntry;
use super::judge::{Judgement, judge};
use super::python::Value;
use super::statistics::{Item, aggregate, stderr};
use super::task::Task;
use crate::error::{Context as _, Result, ensure};

/// The scores of one model on a task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskScore {
    /// Number of documents.
    pub n: usize,
    /// In the order in which they are reported.
    pub measures: Vec<Measure>,
    /// Of every filter and document.
    pub records: Vec<Record>,
}

/// One metric of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    pub metric: &'static str,
    pub filter: String,
    pub value: f64,
    /// `None` where there is no formula for it, or only one document.
    pub stderr: Option<f64>,
    pub higher_is_better: bool,
}

/// The scored answers of one document.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Index among the task's samples.
    pub sample: usize,
    pub filter: String,
    /// The answers, printed.
    pub answers: Value,
    /// The filtered answers.
    pub filtered: Value,
    /// Name and value of each metric.
    pub values: Vec<(&'static str, Value)>,
}

impl TaskScore {
    /// The value and the standard error of a metric, with the first of its filters.
    pub fn measure(&self, metric: &str) -> Option<(f64, Option<f64>)> {
        let found = self.measures.iter().find(|measure| measure.metric == metric)?;
        Some((found.value, found.stderr))
    }
}

impl Task {
    /// Scores the answers to [`Task::questions`], in their order.
    ///
    /// # Errors
    /// When there are too few answers or of another type, or a filter cannot be applied.
    pub fn score(&self, answers: &[Answer]) -> Result<TaskScore> {
        let (found, expected) = (answers.len(), self.samples.len());
        ensure!(
            found == expected,
            "the task {} has {expected} questions, found {found} answers",
            self.name()
        );
        let mut score = TaskScore { n: expected, measures: Vec::new(), records: Vec::new() };
        for filter in &self.definition.filters {
            let mut items: Vec<Vec<Item>> = vec![Vec::new(); self.definition.metrics.len()];
            for (number, (sample, answer)) in self.samples.iter().zip(answers).enumerate() {
                let judged = judge(sample, answer, filter, &self.definition.metrics)
                    .with_context(|| format!("the task {}, document {number}", self.name()))?;
                let Judgement { answers, filtered, items: judged } = judged;
                let values = self.definition.metrics.iter().zip(&judged);
                let values =
                    values.map(|(entry, item)| (entry.metric.name(), item.value())).collect();
                for (items, item) in items.iter_mut().zip(judged) {
                    items.push(item);
                }
                let filter = filter.name.clone();
                score.records.push(Record { sample: number, filter, answers, filtered, values });
            }
            for (entry, items) in self.definition.metrics.iter().zip(items) {
                score.measures.push(measure(entry, &filter.name, &items)?);
            }
        }
        Ok(score)
    }
}

fn measure(entry: &MetricEntry, filter: &str, items: &[Item]) -> Result<Measure> {
    let value = aggregate(entry.aggregation, items)?;
    Ok(Measure {
        metric: entry.metric.name(),
        filter: filter.to_owned(),
        value,
        stderr: stderr(entry.aggregation, items),
        higher_is_better: entry.higher_is_better,
    })
}
