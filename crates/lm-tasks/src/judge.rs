//! Scores one answer against the target.

use boomerang_core::evaluate::{Answer, Likelihood};

use super::definition::{Ignoring, Metric, MetricEntry};
use super::filter::Pipeline;
use super::python::{self, Value, resolve_index};
use super::statistics::Item;
use super::task::{Asked, Sample};
use super::writer::NOWHERE;
use crate::error::{Context as _, Result, bail};

/// The scored answers of one document.
pub(super) struct Judgement {
    /// The answers as lm-evaluation-harness records them: a list for each request.
    pub(super) answers: Value,
    pub(super) filtered: Value,
    /// Of each metric, in the task's order.
    pub(super) items: Vec<Item>,
}

pub(super) fn judge(
    sample: &Sample,
    answer: &Answer,
    filter: &Pipeline,
    metrics: &[MetricEntry],
) -> Result<Judgement> {
    match (&sample.asked, answer) {
        (Asked::Choice { choices, right, is_compared, .. }, Answer::Continuations(likelihoods)) => {
            let n_expected = choices.len() * if *is_compared { 2 } else { 1 };
            if likelihoods.len() != n_expected {
                bail!(
                    "expected answers to {n_expected} continuations, found {}",
                    likelihoods.len()
                );
            }
            let choice = Choice::new(choices, right, likelihoods);
            let items = metrics.iter().map(|entry| choice.item(&entry.metric));
            Ok(judgement(likelihoods.iter().map(pair).collect(), items.collect::<Result<_, _>>()?))
        }
        (Asked::Continuation(_), Answer::Continuations(likelihoods)) => {
            let likelihood = likelihoods.first().context("the continuation has no answer")?;
            let item = |entry: &MetricEntry| match entry.metric {
                Metric::Acc => Item::Count(i64::from(likelihood.is_greedy)),
                _ => Item::Number(likelihood.log_likelihood),
            };
            Ok(judgement(vec![pair(likelihood)], metrics.iter().map(item).collect()))
        }
        (Asked::Text { n_words, n_bytes, .. }, Answer::Text(likelihood)) => {
            let item = |entry: &MetricEntry| {
                let weight = match entry.metric {
                    Metric::WordPerplexity => n_words,
                    _ => n_bytes,
                };
                Item::Weighted(likelihood.log_likelihood, *weight)
            };
            let printed = Value::Text(python::float(likelihood.log_likelihood));
            Ok(judgement(vec![printed], metrics.iter().map(item).collect()))
        }
        (Asked::Open { right, .. }, Answer::Open(text)) => {
            let filtered = filter.apply(text)?;
            let item = |entry: &MetricEntry| match &entry.metric {
                Metric::ExactMatch(ignoring) => is_equal(&filtered, right, ignoring),
                other => bail!("{} is not a metric of a text", other.name()),
            };
            let items = metrics.iter().map(item).collect::<Result<_>>()?;
            let answers = Value::List(vec![Value::List(vec![text.as_str().into()])]);
            Ok(Judgement { answers, filtered: Value::List(vec![printed(&filtered)]), items })
        }
        _ => bail!("the answer does not match the type of the question"),
    }
}

/// Of answers that are not filtered.
fn judgement(answers: Vec<Value>, items: Vec<Item>) -> Judgement {
    let filtered = Value::List(answers.clone());
    let answers = answers.into_iter().map(|answer| Value::List(vec![answer])).collect();
    Judgement { answers: Value::List(answers), filtered, items }
}

/// In a record of answers, every value is a text.
fn printed(value: &Value) -> Value {
    match value {
        Value::List(values) => Value::List(values.iter().map(printed).collect()),
        other => python::text(other).into(),
    }
}

fn pair(likelihood: &Likelihood) -> Value {
    let is_greedy = python::text(&Value::Bool(likelihood.is_greedy));
    vec![python::float(likelihood.log_likelihood), is_greedy].into()
}

/// Whether an answer is the target, or one of several.
fn is_equal(filtered: &Value, right: &Value, ignoring: &Ignoring) -> Result<Item> {
    let answer = match filtered {
        Value::List(values) => values.first().unwrap_or(&Value::None),
        other => other,
    };
    if answer.is_none() {
        return Ok(Item::Number(0.0));
    }
    let answer = ignoring.apply(&python::text(answer))?;
    let rights = match right {
        Value::List(several) => &several[..],
        one => std::slice::from_ref(one),
    };
    for right in rights {
        if ignoring.apply(&python::text(right))? == answer {
            return Ok(Item::Number(1.0));
        }
    }
    Ok(Item::Number(0.0))
}

/// A question with choices, answered.
struct Choice<'a> {
    choices: &'a [String],
    /// The index of the correct choice, or of each of several.
    rights: Vec<i64>,
    likelihoods: &'a [Likelihood],
    /// Of each choice without its context, for `acc_mutual_info`.
    unconditional: &'a [Likelihood],
}

impl<'a> Choice<'a> {
    fn new(choices: &'a [String], right: &Value, likelihoods: &'a [Likelihood]) -> Self {
        let index = |value: &Value| {
            let index = value.as_int().unwrap_or(NOWHERE);
            if index < choices.len() as i64 { index } else { NOWHERE }
        };
        let rights = match right {
            Value::List(several) => several.iter().map(index).collect(),
            one => vec![index(one)],
        };
        let (likelihoods, unconditional) = likelihoods.split_at(choices.len());
        Self { choices, rights, likelihoods, unconditional }
    }

    fn item(&self, metric: &Metric) -> Result<Item> {
        let per = |length: &dyn Fn(&str) -> usize| {
            self.is_right(|number| {
                self.likelihoods[number].log_likelihood / length(&self.choices[number]) as f64
            })
        };
        Ok(match metric {
            Metric::Acc => self.is_right(|number| self.likelihoods[number].log_likelihood),
            Metric::AccNorm => per(&|choice| choice.chars().count()),
            Metric::AccBytes => per(&str::len),
            Metric::AccMutualInfo => self.is_right(|number| {
                self.likelihoods[number].log_likelihood - self.unconditional[number].log_likelihood
            }),
            Metric::ExactMatch(_) => Item::Count(i64::from(self.rights.iter().any(|&right| {
                let index = resolve_index(right, self.likelihoods.len());
                index.is_some_and(|index| self.likelihoods[index].is_greedy)
            }))),
            Metric::BrierScore => {
                let right = match self.rights[..] {
                    [right] => resolve_index(right, self.likelihoods.len()),
                    _ => None,
                };
                let right = right.context("brier_score needs exactly one correct choice")?;
                Item::Guess { right, chances: self.chances() }
            }
            other => bail!("{} is not a metric of choices", other.name()),
        })
    }

    /// Whether the choice with the highest score is correct; ties go to the first.
    fn is_right(&self, score: impl Fn(usize) -> f64) -> Item {
        let beats = |new: f64, best: f64| new > best || (new.is_nan() && !best.is_nan());
        let best = (1..self.likelihoods.len())
            .fold(0, |best, number| if beats(score(number), score(best)) { number } else { best });
        let is_right = self.rights.contains(&(best as i64));
        Item::Number(if is_right { 1.0 } else { 0.0 })
    }

    /// The likelihoods, normalized to a sum of 1.
    fn chances(&self) -> Vec<f64> {
        let logs = self.likelihoods.iter().map(|likelihood| likelihood.log_likelihood);
        let largest = logs.clone().fold(f64::NEG_INFINITY, f64::max);
        let scaled: Vec<f64> = logs.map(|log| (log - largest).exp()).collect();
        let sum: f64 = scaled.iter().sum();
        scaled.into_iter().map(|value| value / sum).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likelihood(log_likelihood: f64) -> Likelihood {
        Likelihood { log_likelihood, n_tokens: 1, is_greedy: log_likelihood > -2.0 }
    }

    fn judged(choices: &[&str], right: Value, logs: &[f64], metric: &Metric) -> Value {
        let choices: Vec<String> = choices.iter().map(|choice| (*choice).to_owned()).collect();
        let likelihoods: Vec<Likelihood> = logs.iter().copied().map(likelihood).collect();
        Choice::new(&choices, &right, &likelihoods).item(metric).unwrap().value()
    }

    #[test]
    fn lengths_are_of_characters_or_of_bytes() {
        let of = |metric| judged(&["ab", "éééé"], Value::Int(1), &[-3.0, -5.0], &metric);
        assert_eq!(of(Metric::Acc), Value::Float(0.0));
        assert_eq!(of(Metric::AccNorm), Value::Float(1.0));
        let of = |metric| judged(&["abc", "éé"], Value::Int(1), &[-4.0, -3.0], &metric);
        assert_eq!(of(Metric::AccNorm), Value::Float(0.0));
        assert_eq!(of(Metric::AccBytes), Value::Float(1.0));
    }

    #[test]
    fn one_of_several_right_choices_is_enough() {
        let right = Value::List(vec![Value::Int(0), Value::Int(2)]);
        assert_eq!(
            judged(&["a", "b", "c"], right, &[-3.0, -3.5, -1.0], &Metric::Acc),
            Value::Float(1.0)
        );
    }

    #[test]
    fn a_right_choice_that_is_not_there_is_never_chosen() {
        let exact = Metric::ExactMatch(Ignoring::default());
        assert_eq!(
            judged(&["a", "b"], Value::Int(2), &[-1.0, -1.0], &Metric::Acc),
            Value::Float(0.0)
        );
        assert_eq!(judged(&["a", "b"], Value::Int(2), &[-1.0, -1.0], &exact), Value::Int(0));
    }

    #[test]
    fn what_a_choice_gains_by_its_context_counts() {
        let logs = [-3.0, -4.0, -3.0, -6.0];
        assert_eq!(
            judged(&["a", "b"], Value::Int(1), &logs, &Metric::AccMutualInfo),
            Value::Float(1.0)
        );
    }

    #[test]
    fn answers_are_compared_without_what_is_ignored() {
        let ignoring = Ignoring { case: true, punctuation: true, ..Ignoring::default() };
        let equal = |answer: &str, right: Value| {
            is_equal(&answer.into(), &right, &ignoring).unwrap().value()
        };
        assert_eq!(equal("Paris.", "paris".into()), Value::Float(1.0));
        assert_eq!(equal("7", Value::List(vec![Value::Int(6), Value::Int(7)])), Value::Float(1.0));
        assert_eq!(equal("Rome", "paris".into()), Value::Float(0.0));
    }
}
