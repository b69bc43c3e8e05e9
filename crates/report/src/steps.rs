//! Tests whether sizes of a line differ: each with the next, and each with the largest, per
//! question.

use boomerang_core::compare::{McNemar, Resampled, holm, paired_bootstrap};
use serde::Serialize;

use crate::error::Result;
use crate::lines::{Line, Stop};
use crate::metric::Metric;
use crate::samples::Answers;

/// One size against a larger one, by one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Step {
    pub first: String,
    pub second: String,
    /// Questions that both answered.
    pub n_questions: usize,
    /// Second minus first.
    pub mean: Resampled,
    /// The bootstrap's p-value after Holm's correction over the comparisons of its list.
    pub corrected: f64,
    /// All questions of all tasks together; `None` where answers are not just right or wrong.
    pub mcnemar: Option<McNemar>,
    pub mcnemar_corrected: Option<f64>,
    pub by_task: Vec<TaskStep>,
}

/// The same on one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct TaskStep {
    pub task: String,
    pub n_questions: usize,
    pub difference: Resampled,
    pub mcnemar: Option<McNemar>,
    /// McNemar's p-value, or the bootstrap's where there is none, corrected over all tasks of all
    /// comparisons of the list.
    pub corrected: f64,
}

/// The comparisons of one line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Steps {
    pub line: String,
    /// Each size with the next.
    pub next: Vec<Step>,
    /// Each size with the largest.
    pub largest: Vec<Step>,
    pub n_draws: usize,
    /// Whether the line has other seeds, which are not compared.
    pub is_one_seed_of_many: bool,
}

/// The significance level.
pub(crate) const LEVEL: f64 = 0.05;

impl Step {
    pub(crate) fn differs(&self) -> bool {
        self.corrected < LEVEL
    }

    /// The verdict on the second size.
    pub(crate) fn verdict(&self, metric: &Metric) -> &'static str {
        match metric.quality(self.mean.difference) {
            _ if !self.differs() => "not significantly different",
            better if better > 0.0 => "better",
            _ => "worse",
        }
    }
}

impl Steps {
    /// Compares the sizes of `line`; `None` when there are fewer than two or some have no answers.
    ///
    /// # Errors
    /// When answers cannot be read.
    pub(crate) fn of(
        line: &Line,
        metric: &Metric,
        n_draws: usize,
        seed: u64,
    ) -> Result<Option<Self>> {
        let stops = line.stops();
        let Some((last, before)) = stops.split_last().filter(|(_, before)| !before.is_empty())
        else {
            return Ok(None);
        };
        let Some(answers_of_last) = answers(last)? else { return Ok(None) };
        let (mut next, mut largest) = (Vec::new(), Vec::new());
        let mut previous: Option<Answers> = None;
        for (index, stop) in stops.iter().enumerate() {
            let is_last = index == before.len();
            let found = if is_last { Some(answers_of_last.clone()) } else { answers(stop)? };
            let Some(found) = found else { return Ok(None) };
            let draw = |first: &Answers, second: &Answers, names: (&Stop<'_>, &Stop<'_>)| {
                compare(names, (first, second), metric, n_draws, seed)
            };
            if let Some(previous) = &previous {
                next.extend(draw(previous, &found, (&stops[index - 1], stop)));
            }
            if index + 1 < before.len() {
                largest.extend(draw(&found, &answers_of_last, (stop, last)));
            }
            previous = Some(found);
        }
        correct(&mut next);
        // The last step is one of these comparisons, too, and counts in their correction.
        let own = next.last().cloned();
        largest.extend(own);
        correct(&mut largest);
        Ok((!next.is_empty()).then(|| Self {
            line: line.name.clone(),
            next,
            largest,
            n_draws,
            is_one_seed_of_many: stops.iter().any(|stop| stop.members.len() > 1),
        }))
    }
}

/// Those of the first seed.
fn answers(stop: &Stop<'_>) -> Result<Option<Answers>> {
    stop.members[0].samples.as_deref().map(Answers::read).transpose()
}

/// `None` when there are no common questions.
fn compare(
    names: (&Stop<'_>, &Stop<'_>),
    answers: (&Answers, &Answers),
    metric: &Metric,
    n_draws: usize,
    seed: u64,
) -> Option<Step> {
    let mut differences = Vec::new();
    let mut tasks = Vec::new();
    let mut all = Some(Vec::new());
    for task in &metric.tasks {
        let pairs: Vec<(f64, f64)> = answers.0.pairs(answers.1, task, &metric.metric).collect();
        if pairs.is_empty() {
            continue;
        }
        let verdicts = verdicts(&pairs);
        all = all.zip(verdicts.clone()).map(|(all, verdicts)| [all, verdicts].concat());
        tasks.push((task, pairs.len(), verdicts.map(McNemar::of)));
        differences.push(pairs.iter().map(|(first, second)| second - first).collect());
    }
    let bootstrap = paired_bootstrap(&differences, n_draws, seed);
    let mean = bootstrap.mean?;
    let by_task = tasks.into_iter().zip(bootstrap.by_task).map(
        |((task, n_questions, mcnemar), difference)| TaskStep {
            task: task.clone(),
            n_questions,
            difference,
            mcnemar,
            corrected: 1.0,
        },
    );
    let by_task: Vec<TaskStep> = by_task.collect();
    Some(Step {
        first: names.0.words(),
        second: names.1.words(),
        n_questions: by_task.iter().map(|task| task.n_questions).sum(),
        mean,
        corrected: 1.0,
        mcnemar: all.map(McNemar::of),
        mcnemar_corrected: None,
        by_task,
    })
}

/// Right or wrong; `None` when a score is something else.
fn verdicts(pairs: &[(f64, f64)]) -> Option<Vec<(bool, bool)>> {
    let is_verdict = |score: f64| score == 0.0 || score == 1.0;
    let both = pairs.iter().map(|&(first, second)| {
        (is_verdict(first) && is_verdict(second)).then_some((first == 1.0, second == 1.0))
    });
    both.collect()
}

fn correct(steps: &mut [Step]) {
    let means: Vec<f64> = steps.iter().map(|step| step.mean.p_value).collect();
    for (step, corrected) in steps.iter_mut().zip(holm(&means)) {
        step.corrected = corrected;
    }
    let pooled: Option<Vec<f64>> =
        steps.iter().map(|step| step.mcnemar.map(|found| found.p_value)).collect();
    if let Some(pooled) = pooled {
        for (step, corrected) in steps.iter_mut().zip(holm(&pooled)) {
            step.mcnemar_corrected = Some(corrected);
        }
    }
    let tasks = || steps.iter().flat_map(|step| &step.by_task);
    let p_values: Vec<f64> = tasks()
        .map(|task| task.mcnemar.map_or(task.difference.p_value, |found| found.p_value))
        .collect();
    let corrected = holm(&p_values);
    for (task, corrected) in steps.iter_mut().flat_map(|step| &mut step.by_task).zip(corrected) {
        task.corrected = corrected;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::lines::tests::{line, tasks};

    /// A line whose members have the first `n` of `of` questions right.
    pub(crate) fn answered(folder: &Path, n_right: &[u64], of: u64) -> Line {
        let accs: Vec<(u64, f64)> =
            n_right.iter().zip(3..).map(|(&n, layers)| (layers, n as f64 / of as f64)).collect();
        let mut line = line("boomerang", &accs);
        for (member, &n) in line.members.iter_mut().zip(n_right) {
            let samples = folder.join(&member.name);
            fs::create_dir(&samples).unwrap();
            let lines = (0..of)
                .map(|doc| format!("{{\"doc_id\": {doc}, \"acc\": {}}}\n", u8::from(doc < n)));
            fs::write(samples.join("samples_arc_2026.jsonl"), lines.collect::<String>()).unwrap();
            member.samples = Some(samples);
        }
        line
    }

    fn steps(n_right: &[u64]) -> Option<Steps> {
        let folder = tempfile::tempdir().unwrap();
        let line = answered(folder.path(), n_right, 100);
        let metric = Metric::all(&tasks(), std::slice::from_ref(&line)).remove(0);
        Steps::of(&line, &metric, 500, 0).unwrap()
    }

    #[test]
    fn a_size_with_the_same_answers_is_indistinguishable() {
        let steps = steps(&[40, 40, 80]).unwrap();
        assert_eq!(steps.next[0].mean.p_value, 1.0);
        assert!(!steps.next[0].differs() && steps.next[1].differs());
        assert_eq!(steps.next[1].mcnemar.unwrap().only_second, 40);
    }

    #[test]
    fn every_size_is_compared_with_the_largest_once() {
        let steps = steps(&[40, 50, 60, 80]).unwrap();
        let pairs: Vec<(&str, &str)> =
            steps.largest.iter().map(|step| (&*step.first, &*step.second)).collect();
        assert_eq!(
            pairs,
            [("3 layers", "6 layers"), ("4 layers", "6 layers"), ("5 layers", "6 layers")]
        );
    }

    #[test]
    fn correction_counts_the_comparisons() {
        let steps = steps(&[40, 48, 56]).unwrap();
        // Eight questions gained and none lost, twice: 2 / 2^8 each.
        let found = steps.next[0].mcnemar.unwrap().p_value;
        assert!((found - 2.0 / 256.0).abs() < 1e-12);
        assert!((steps.next[0].mcnemar_corrected.unwrap() - 2.0 * found).abs() < 1e-12);
    }

    #[test]
    fn without_answers_nothing_is_compared() {
        let line = line("boomerang", &[(3, 0.4), (4, 0.5)]);
        let metric = Metric::all(&tasks(), std::slice::from_ref(&line)).remove(0);
        assert_eq!(Steps::of(&line, &metric, 10, 0).unwrap(), None);
    }
}
