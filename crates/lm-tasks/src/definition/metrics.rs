//! The metrics of a task (`metric_list`), and how they are aggregated.

use super::Kind;
use crate::error::{Context as _, Result, bail, ensure};
use crate::python::{self, Pattern, Value};

/// One metric of one document.
#[derive(Clone, Debug)]
pub enum Metric {
    Acc,
    AccNorm,
    AccBytes,
    AccMutualInfo,
    /// Of choices, whether the correct one is greedy; of answers, whether they are equal.
    ExactMatch(Ignoring),
    BrierScore,
    Perplexity,
    WordPerplexity,
    BytePerplexity,
    BitsPerByte,
}

/// What is ignored when two answers are compared.
#[derive(Clone, Debug, Default)]
pub struct Ignoring {
    pub patterns: Vec<Pattern>,
    pub case: bool,
    pub punctuation: bool,
    pub numbers: bool,
}

/// How the values of documents are aggregated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    Mean,
    Median,
    /// `exp` of the negative mean.
    Perplexity,
    /// `exp` of the negative sum of log-likelihoods over the sum of lengths.
    WeightedPerplexity,
    BitsPerByte,
    BrierScore,
}

/// A metric as a task configures it.
#[derive(Clone, Debug)]
pub struct MetricEntry {
    pub metric: Metric,
    pub aggregation: Aggregation,
    pub higher_is_better: bool,
}

impl Metric {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Acc => "acc",
            Self::AccNorm => "acc_norm",
            Self::AccBytes => "acc_bytes",
            Self::AccMutualInfo => "acc_mutual_info",
            Self::ExactMatch(_) => "exact_match",
            Self::BrierScore => "brier_score",
            Self::Perplexity => "perplexity",
            Self::WordPerplexity => "word_perplexity",
            Self::BytePerplexity => "byte_perplexity",
            Self::BitsPerByte => "bits_per_byte",
        }
    }

    fn all() -> [Self; 10] {
        [
            Self::Acc,
            Self::AccNorm,
            Self::AccBytes,
            Self::AccMutualInfo,
            Self::ExactMatch(Ignoring::default()),
            Self::BrierScore,
            Self::Perplexity,
            Self::WordPerplexity,
            Self::BytePerplexity,
            Self::BitsPerByte,
        ]
    }

    /// Whether tasks of this kind have it.
    fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Acc => matches!(kind, Kind::MultipleChoice | Kind::LogLikelihood),
            Self::ExactMatch(_) => matches!(kind, Kind::MultipleChoice | Kind::Generate),
            Self::AccNorm | Self::AccBytes | Self::AccMutualInfo | Self::BrierScore => {
                kind == Kind::MultipleChoice
            }
            Self::Perplexity => kind == Kind::LogLikelihood,
            Self::WordPerplexity | Self::BytePerplexity | Self::BitsPerByte => {
                kind == Kind::Rolling
            }
        }
    }

    fn aggregation(&self) -> Aggregation {
        match self {
            Self::Perplexity => Aggregation::Perplexity,
            Self::WordPerplexity | Self::BytePerplexity => Aggregation::WeightedPerplexity,
            Self::BitsPerByte => Aggregation::BitsPerByte,
            Self::BrierScore => Aggregation::BrierScore,
            _ => Aggregation::Mean,
        }
    }

    fn higher_is_better(&self) -> bool {
        self.aggregation() == Aggregation::Mean
    }
}

impl Aggregation {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "mean" => Self::Mean,
            "median" => Self::Median,
            "perplexity" => Self::Perplexity,
            "weighted_perplexity" => Self::WeightedPerplexity,
            "bits_per_byte" => Self::BitsPerByte,
            "brier_score" => Self::BrierScore,
            _ => return None,
        })
    }

    /// Whether it aggregates numbers, not pairs of a number and its weight or of a guess and the
    /// target.
    fn takes_numbers(self) -> bool {
        matches!(self, Self::Mean | Self::Median | Self::Perplexity)
    }
}

/// # Errors
/// Names the metric that is not implemented, or not for this kind of task.
pub(super) fn read(source: Option<&Value>, kind: Kind) -> Result<Vec<MetricEntry>> {
    let Some(source) = source.filter(|source| !source.is_none()) else {
        let names: &[&str] = match kind {
            Kind::MultipleChoice => &["acc", "acc_norm"],
            Kind::LogLikelihood => &["perplexity", "acc"],
            Kind::Rolling => &["word_perplexity", "byte_perplexity", "bits_per_byte"],
            Kind::Generate => &["exact_match"],
        };
        return names
            .iter()
            .map(|name| entry(&Value::map([("metric", (*name).into())]), kind))
            .collect();
    };
    let entries =
        source.as_list().context("metric_list is not a list; expected a list of metrics")?;
    ensure!(!entries.is_empty(), "metric_list is empty; omit it for the default metrics");
    entries.iter().map(|source| entry(source, kind)).collect()
}

fn entry(source: &Value, kind: Kind) -> Result<MetricEntry> {
    let name = source.get("metric").map(python::text);
    let name = name.context("an entry of metric_list has no \"metric\"; expected its name")?;
    let known = Metric::all();
    let fitting = |metric: &&Metric| metric.fits(kind);
    let Some(metric) = known.iter().filter(fitting).find(|metric| metric.name() == name) else {
        let names: Vec<&str> = known.iter().filter(fitting).map(Metric::name).collect();
        bail!(
            "the metric {name:?} of a {} task is not implemented; supported: {}",
            kind.name(),
            names.join(", ")
        );
    };
    let metric = match metric {
        Metric::ExactMatch(_) => Metric::ExactMatch(Ignoring::read(source)?),
        other => other.clone(),
    };
    let mut aggregation = metric.aggregation();
    if let Some(named) = source.get("aggregation").map(python::text) {
        let known = Aggregation::named(&named);
        let fits = known.filter(|known| known.takes_numbers() == aggregation.takes_numbers());
        aggregation = fits.with_context(|| {
            format!(
                "the aggregation {named:?} of {name} is not implemented; omit it for the default"
            )
        })?;
    }
    let higher_is_better = source.get("higher_is_better").and_then(Value::as_bool);
    let higher_is_better = higher_is_better.unwrap_or_else(|| metric.higher_is_better());
    Ok(MetricEntry { metric, aggregation, higher_is_better })
}

impl Ignoring {
    fn read(source: &Value) -> Result<Self> {
        let mut ignoring = Self::default();
        let Value::Map(entries) = source else { return Ok(ignoring) };
        for (key, value) in entries {
            let flag = || {
                let wrong = || format!("{key} is {}; expected true or false", python::repr(value));
                value.as_bool().with_context(wrong)
            };
            match &**key {
                "metric" | "aggregation" | "higher_is_better" => {}
                "hf_evaluate" => {
                    ensure!(!flag()?, "hf_evaluate asks for a metric of another package; omit it");
                }
                "ignore_case" => ignoring.case = flag()?,
                "ignore_punctuation" => ignoring.punctuation = flag()?,
                "ignore_numbers" => ignoring.numbers = flag()?,
                "regexes_to_ignore" => {
                    let patterns = value.as_list().context("regexes_to_ignore is not a list")?;
                    ignoring.patterns = patterns
                        .iter()
                        .map(|pattern| Pattern::new(&python::text(pattern)))
                        .collect::<Result<_, _>>()?;
                }
                other => bail!("exact_match has the key {other:?}, which is not implemented"),
            }
        }
        Ok(ignoring)
    }

    /// A text without what is ignored.
    ///
    /// # Errors
    /// When a regular expression takes too long.
    pub fn apply(&self, text: &str) -> Result<String> {
        let mut text = text.to_owned();
        for pattern in &self.patterns {
            text = pattern.replace(&text, "", 0)?;
        }
        if self.case {
            text = text.to_lowercase();
        }
        text.retain(|char| {
            let is_punctuation = self.punctuation && char.is_ascii_punctuation();
            let is_number = self.numbers && char.is_ascii_digit();
            !is_punctuation && !is_number
        });
        // numpy drops trailing NUL characters.
        text.truncate(text.trim_end_matches('\0').len());
        Ok(text)
    }
}
