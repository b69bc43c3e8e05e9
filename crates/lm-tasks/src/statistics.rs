//! Aggregates the values of documents, with standard errors.

use super::definition::Aggregation;
use super::python::{Random, Value};
use crate::error::{Result, bail, ensure};

/// The value of one document for a metric.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Number(f64),
    /// 0 or 1.
    Count(i64),
    /// A log-likelihood, and the words or bytes it is of.
    Weighted(f64, usize),
    /// The probabilities of the choices, and the correct one.
    Guess {
        right: usize,
        chances: Vec<f64>,
    },
}

impl Item {
    /// As it is recorded.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Number(number) => Value::Float(*number),
            Self::Count(count) => Value::Int(*count),
            Self::Weighted(number, weight) => {
                Value::List(vec![Value::Float(*number), (*weight).into()])
            }
            Self::Guess { right, chances } => {
                Value::List(vec![(*right).into(), chances.clone().into()])
            }
        }
    }

    fn number(&self) -> f64 {
        match *self {
            Self::Number(number) | Self::Weighted(number, _) => number,
            Self::Count(count) => count as f64,
            Self::Guess { .. } => f64::NAN,
        }
    }
}

pub(super) fn aggregate(aggregation: Aggregation, items: &[Item]) -> Result<f64> {
    ensure!(!items.is_empty(), "there are no documents to score");
    let weighted_mean = || {
        let weight = |item: &Item| match item {
            Item::Weighted(_, weight) => *weight as f64,
            _ => 1.0,
        };
        items.iter().map(Item::number).sum::<f64>() / items.iter().map(weight).sum::<f64>()
    };
    let numbers: Vec<f64> = items.iter().map(Item::number).collect();
    Ok(match aggregation {
        Aggregation::Mean => mean(&numbers),
        Aggregation::Median => median(&mut numbers.clone()),
        Aggregation::Perplexity => (-mean(&numbers)).exp(),
        Aggregation::WeightedPerplexity => (-weighted_mean()).exp(),
        Aggregation::BitsPerByte => -weighted_mean() / std::f64::consts::LN_2,
        Aggregation::BrierScore => brier_score(items)?,
    })
}

fn brier_score(items: &[Item]) -> Result<f64> {
    let (mut sum, mut n_choices) = (0.0, None);
    for item in items {
        let Item::Guess { right, chances } = item else {
            bail!("brier_score is only defined for choices")
        };
        ensure!(
            *n_choices.get_or_insert(chances.len()) == chances.len(),
            "brier_score needs the same number of choices in each document"
        );
        let distance = |(number, chance): (usize, &f64)| {
            let truth = if number == *right { 1.0 } else { 0.0 };
            (chance - truth) * (chance - truth)
        };
        sum += chances.iter().enumerate().map(distance).sum::<f64>();
    }
    Ok(sum / items.len() as f64)
}

/// `None` where lm-evaluation-harness writes "N/A".
pub(super) fn stderr(aggregation: Aggregation, items: &[Item]) -> Option<f64> {
    if items.len() < 2 {
        return None;
    }
    let numbers: Vec<f64> = items.iter().map(Item::number).collect();
    match aggregation {
        Aggregation::Mean => Some(deviation(&numbers) / (numbers.len() as f64).sqrt()),
        Aggregation::Median => Some(bootstrap(&numbers, median, N_CHUNKS)),
        Aggregation::Perplexity => {
            Some(bootstrap(&numbers, |resampled| (-mean(resampled)).exp(), N_CHUNKS))
        }
        _ => None,
    }
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// Of an even number of values the upper of the two in the middle.
fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Of a sample.
fn deviation(numbers: &[f64]) -> f64 {
    let mean = mean(numbers);
    let squares: f64 = numbers.iter().map(|number| (number - mean) * (number - mean)).sum();
    (squares / (numbers.len() - 1) as f64).sqrt()
}

/// lm-evaluation-harness uses 100000 resamples, in chunks of 1000 with the chunk's number as the
/// seed.
const N_CHUNKS: usize = 100;
const CHUNK: usize = 1000;

/// The standard deviation of a statistic over bootstrap resamples, the same ones as in
/// lm-evaluation-harness.
fn bootstrap(
    numbers: &[f64],
    statistic: impl Fn(&mut [f64]) -> f64 + Sync,
    n_chunks: usize,
) -> f64 {
    let chunk = |number: usize| -> Vec<f64> {
        let mut random = Random::new(number as u64);
        let mut resampled = vec![0.0; numbers.len()];
        let draw = |_| {
            resampled.fill_with(|| numbers[random.choose(numbers.len())]);
            statistic(&mut resampled)
        };
        (0..CHUNK).map(draw).collect()
    };
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    let per_thread = n_chunks.div_ceil(n_threads).max(1);
    let values: Vec<f64> = std::thread::scope(|scope| {
        let of_thread = |first: usize| {
            let chunk = &chunk;
            scope.spawn(move || {
                let last = n_chunks.min(first + per_thread);
                (first..last).flat_map(chunk).collect::<Vec<f64>>()
            })
        };
        let threads: Vec<_> = (0..n_chunks).step_by(per_thread).map(of_thread).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    deviation(&values)
}

/// The standard error of a group's mean from those of its tasks: pooled, when tasks count by their
/// sizes, else of a plain mean of means.
pub(super) fn group_stderr(stderrs: &[f64], sizes: &[usize], is_weighted: bool) -> f64 {
    if !is_weighted {
        let squares: f64 = stderrs.iter().map(|stderr| stderr * stderr).sum();
        return squares.sqrt() / stderrs.len() as f64;
    }
    let total = sizes.iter().sum::<usize>() as f64;
    let variance = |(stderr, &size): (&f64, &usize)| {
        let size = size as f64;
        (size - 1.0) * stderr * stderr * size
    };
    let pooled: f64 = stderrs.iter().zip(sizes).map(variance).sum();
    (pooled / (total - stderrs.len() as f64) / total).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: &[f64]) -> Vec<Item> {
        values.iter().copied().map(Item::Number).collect()
    }

    #[test]
    fn the_standard_error_of_a_mean_is_that_of_a_sample() {
        let items = numbers(&[1.0, 0.0, 1.0, 1.0]);
        assert!((stderr(Aggregation::Mean, &items).unwrap() - 0.25).abs() < 1e-12);
        assert_eq!(stderr(Aggregation::Mean, &items[..1]), None);
    }

    #[test]
    fn perplexities_are_by_words_or_bytes() {
        let items = [Item::Weighted(-4.0, 1), Item::Weighted(-2.0, 2)];
        let value = |aggregation| aggregate(aggregation, &items).unwrap();
        assert!((value(Aggregation::WeightedPerplexity) - 2.0_f64.exp()).abs() < 1e-12);
        assert!((value(Aggregation::BitsPerByte) - 2.0 / 2.0_f64.ln()).abs() < 1e-12);
        assert_eq!(stderr(Aggregation::WeightedPerplexity, &items), None);
    }

    /// lm-evaluation-harness's `bootstrap_stderr` on the same numbers, with 2000 iterations.
    #[test]
    fn the_bootstrap_draws_as_lm_evaluation_harness_does() {
        let numbers = [-1.5, -0.25, -3.0, -2.0, -0.5];
        let found = bootstrap(&numbers, |resampled| (-mean(resampled)).exp(), 2);
        assert!((found - BOOTSTRAP_PERPLEXITY).abs() < 1e-9, "{found}");
        let found = bootstrap(&numbers, median, 2);
        assert!((found - BOOTSTRAP_MEDIAN).abs() < 1e-9, "{found}");
    }

    const BOOTSTRAP_PERPLEXITY: f64 = 2.283231858562565;
    const BOOTSTRAP_MEDIAN: f64 = 0.7439057049444773;

    #[test]
    fn a_group_of_equal_tasks_has_the_same_error_either_way() {
        let (pooled, plain) = (
            group_stderr(&[0.1, 0.2], &[50, 50], true),
            group_stderr(&[0.1, 0.2], &[50, 50], false),
        );
        assert!((pooled - plain).abs() < 1e-12);
    }
}
