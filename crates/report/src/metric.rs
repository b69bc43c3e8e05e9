//! What a chart can show over size: a metric of one task, or its mean over tasks.

use boomerang_core::chart::Format;

use crate::lines::{Line, Measured, Member, Tasks};

/// One number of each member.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    /// The metric's own name, such as `acc`.
    pub metric: String,
    /// The tasks that it is a mean of; one for a single task.
    pub tasks: Vec<String>,
    pub is_mean: bool,
    pub higher_is_better: bool,
    pub format: Format,
}

impl Metric {
    /// All metrics, means first.
    ///
    /// A mean is over the tasks that every member of every family has, and exists only if there are
    /// several that agree whether higher is better.
    pub(crate) fn all(tasks: &Tasks, lines: &[Line]) -> Vec<Self> {
        let mut means = Vec::new();
        let mut singles = Vec::new();
        let mut names: Vec<&String> =
            tasks.values().flat_map(|task| task.higher_is_better.keys()).collect();
        names.sort();
        names.dedup();
        // Accuracy is the most common metric.
        names.sort_by_key(|name| name.as_str() != "acc");
        // Without a family, imported models are compared with each other.
        let is_alone = lines.iter().all(Line::is_import);
        let is_measured = |task: &str, metric: &str| {
            let families = lines.iter().filter(|line| is_alone || !line.is_import());
            let mut members = families.flat_map(|line| &line.members).peekable();
            members.peek().is_some()
                && members.all(|member| {
                    member.results.get(task).is_some_and(|results| results.contains_key(metric))
                })
        };
        for name in names {
            let of = tasks.iter().filter_map(|(task, info)| {
                info.higher_is_better.get(name).map(|&higher| (task.clone(), higher))
            });
            let of: Vec<(String, bool)> = of.collect();
            for (task, higher) in &of {
                singles.push(Self::new(name, vec![task.clone()], *higher, lines));
            }
            let shared: Vec<(String, bool)> =
                of.into_iter().filter(|(task, _)| is_measured(task, name)).collect();
            let agree = shared.windows(2).all(|pair| pair[0].1 == pair[1].1);
            if shared.len() > 1 && agree {
                let higher = shared[0].1;
                let tasks = shared.into_iter().map(|(task, _)| task).collect();
                means.push(Self::new(name, tasks, higher, lines));
            }
        }
        singles.sort_by(|a, b| a.tasks.cmp(&b.tasks));
        means.into_iter().chain(singles).collect()
    }

    fn new(metric: &str, tasks: Vec<String>, higher_is_better: bool, lines: &[Line]) -> Self {
        let values = lines.iter().flat_map(|line| &line.members).flat_map(|member| {
            tasks.iter().filter_map(|task| Some(member.results.get(task)?.get(metric)?.value))
        });
        let is_share =
            higher_is_better && values.into_iter().all(|value| (0.0..=1.0).contains(&value));
        Self {
            metric: metric.to_owned(),
            is_mean: tasks.len() > 1,
            tasks,
            higher_is_better,
            format: if is_share { Format::Percent } else { Format::Plain },
        }
    }

    /// The metric that was asked for: `acc` is its mean, or that of the only task;
    /// `arc_easy:acc_norm` is one task's.
    pub(crate) fn find<'all>(asked: Option<&str>, all: &'all [Self]) -> Option<&'all Self> {
        let Some(asked) = asked else { return all.first() };
        all.iter().find(|metric| metric.key() == asked).or_else(|| {
            let mut of_name = all.iter().filter(|metric| metric.metric == asked);
            of_name.next().filter(|_| of_name.next().is_none())
        })
    }

    /// As on the command line.
    pub(crate) fn key(&self) -> String {
        if self.is_mean {
            self.metric.clone()
        } else {
            format!("{}:{}", self.tasks[0], self.metric)
        }
    }

    /// As in a sentence.
    pub(crate) fn words(&self) -> String {
        let unit = match self.metric.as_str() {
            "nats_per_token" => Some("nats per token"),
            "bits_per_byte" => Some("bits per byte"),
            // By the name that the task's authors know.
            _ => None,
        };
        match (self.is_mean, unit) {
            (true, _) => {
                format!("mean {} of {} tasks", unit.unwrap_or(&self.metric), self.tasks.len())
            }
            (false, Some(unit)) => format!("{unit} on {}", self.tasks[0]),
            (false, None) => format!("{} {}", self.tasks[0], self.metric),
        }
    }

    /// The member's number; `None` unless it has every task.
    pub(crate) fn of(&self, member: &Member) -> Option<Measured> {
        let scores: Option<Vec<Measured>> = self
            .tasks
            .iter()
            .map(|task| member.results.get(task)?.get(&self.metric).copied())
            .collect();
        let scores = scores?;
        let n = scores.len() as f64;
        let variance: Option<f64> =
            scores.iter().map(|score| score.stderr.map(|stderr| stderr * stderr)).sum();
        Some(Measured {
            value: scores.iter().map(|score| score.value).sum::<f64>() / n,
            stderr: variance.map(|variance| variance.sqrt() / n),
        })
    }

    /// The score of random guessing, if all tasks have one; of accuracies only.
    pub(crate) fn chance(&self, tasks: &Tasks) -> Option<f64> {
        if !matches!(self.metric.as_str(), "acc" | "acc_norm") {
            return None;
        }
        let levels: Option<Vec<f64>> =
            self.tasks.iter().map(|task| tasks.get(task).and_then(|task| task.chance)).collect();
        let levels = levels?;
        Some(levels.iter().sum::<f64>() / levels.len() as f64)
    }

    /// The number as text.
    pub(crate) fn show(&self, value: f64) -> String {
        self.format.value(value)
    }

    /// A difference as text, in percentage points where the metric is a share.
    pub(crate) fn show_difference(&self, difference: f64) -> String {
        match self.format {
            Format::Percent => format!("{} points", signed(difference * 100.0, 1)),
            Format::Plain | Format::Count => signed(difference, 3),
        }
    }

    /// The number, signed so that higher is better.
    pub(crate) fn quality(&self, value: f64) -> f64 {
        if self.higher_is_better { value } else { -value }
    }
}

/// A number with its sign; zero has a plus.
fn signed(value: f64, decimals: usize) -> String {
    let text = format!("{value:+.decimals$}");
    let is_zero = !text.contains(|character: char| ('1'..='9').contains(&character));
    if is_zero { text.replacen('-', "+", 1) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::tests::{line, tasks};

    #[test]
    fn one_task_has_no_mean() {
        let all = Metric::all(&tasks(), &[line("boomerang", &[(3, 0.4)])]);
        assert_eq!(all.iter().map(Metric::key).collect::<Vec<_>>(), ["arc:acc"]);
        assert_eq!(Metric::find(Some("acc"), &all), Some(&all[0]));
        assert_eq!(Metric::find(Some("f1"), &all), None);
    }

    #[test]
    fn a_loss_is_named_by_its_unit_and_a_metric_by_its_name() {
        let words = |metric: &str, tasks: &[&str]| {
            let tasks = tasks.iter().map(|&task| task.to_owned()).collect();
            Metric::new(metric, tasks, false, &[]).words()
        };
        assert_eq!(words("nats_per_token", &["texts"]), "nats per token on texts");
        assert_eq!(words("acc_norm", &["arc_easy"]), "arc_easy acc_norm");
        assert_eq!(words("bits_per_byte", &["a", "b"]), "mean bits per byte of 2 tasks");
    }

    #[test]
    fn a_mean_is_over_what_every_member_has() {
        let mut tasks = tasks();
        tasks.insert("boolq".to_owned(), tasks["arc"].clone());
        tasks.insert("rte".to_owned(), tasks["arc"].clone());
        let mut line = line("boomerang", &[(3, 0.4), (4, 0.6)]);
        for member in &mut line.members {
            let arc = member.results["arc"].clone();
            member.results.insert("boolq".to_owned(), arc);
        }
        let rte = line.members[0].results["arc"].clone();
        line.members[0].results.insert("rte".to_owned(), rte);
        let all = Metric::all(&tasks, std::slice::from_ref(&line));
        assert_eq!(all[0].tasks, ["arc", "boolq"]);
        assert!(all[0].is_mean);
        let mean = all[0].of(&line.members[1]).unwrap();
        assert!((mean.value - 0.6).abs() < 1e-12);
        assert!((mean.stderr.unwrap() - 0.01 / 2.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn nothing_has_no_minus() {
        assert_eq!([signed(-0.0004, 3), signed(-0.04, 1)], ["+0.000", "+0.0"]);
        assert_eq!(signed(-1.25, 1), "-1.2");
    }
}
