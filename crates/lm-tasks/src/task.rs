//! A task with its documents: questions and targets.

use boomerang_core::evaluate::{Continuation, Open, Question};

use super::dataset::{Dataset, Roots};
use super::definition::Definition;
use super::prompt::{Document, Prompter};
use super::python::Value;
use super::template::Templates;
use super::writer::{Writer, examples, processed};
use crate::error::{Context as _, Result};

/// A task whose questions are ready.
#[derive(Clone, Debug)]
pub struct Task {
    pub definition: Definition,
    /// The documents that are evaluated.
    pub samples: Vec<Sample>,
    pub n_documents: usize,
    /// Number of few-shot examples.
    pub n_shots: usize,
}

/// A document and its question.
#[derive(Clone, Debug)]
pub struct Sample {
    pub document: Value,
    /// The target: an answer, its index among the choices, or several of these.
    pub target: Value,
    pub asked: Asked,
}

/// A question with its target.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    Choice {
        /// One for all choices, or one for each.
        contexts: Vec<String>,
        /// After the context; one for all contexts, or one for each choice.
        continuations: Vec<String>,
        /// The choices themselves, for their lengths.
        choices: Vec<String>,
        /// The correct one, or several.
        right: Value,
        /// Whether each continuation is also evaluated without context.
        is_compared: bool,
    },
    Continuation(Continuation),
    Text {
        text: String,
        n_words: usize,
        n_bytes: usize,
    },
    Open {
        open: Open,
        right: Value,
    },
}

/// How many documents are evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    Count(usize),
    /// A fraction of all, from 0 to 1.
    Share(f64),
}

/// How tasks are prepared.
#[derive(Clone, Debug)]
pub struct Preparing<'a> {
    pub roots: &'a Roots,
    pub n_shots: Option<usize>,
    pub limit: Option<Limit>,
    /// Seed for sampling few-shot examples.
    pub seed: u64,
}

impl std::str::FromStr for Limit {
    type Err = String;

    /// A whole number, or a fraction below 1.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(share) if share > 0.0 && share < 1.0 => Ok(Self::Share(share)),
            Ok(count) if (1.0..1e15).contains(&count) => Ok(Self::Count(count as usize)),
            _ => Err(format!(
                "invalid limit {text:?}; expected a whole number from 1, or a fraction such as 0.1"
            )),
        }
    }
}

impl Limit {
    pub(super) fn of(self, n_documents: usize) -> usize {
        match self {
            Self::Count(count) => count.min(n_documents),
            Self::Share(share) => ((n_documents as f64 * share).ceil() as usize).min(n_documents),
        }
    }
}

impl Task {
    /// Reads the documents and writes the questions.
    ///
    /// # Errors
    /// Names the document that does not match the task.
    pub fn new(definition: Definition, preparing: &Preparing<'_>) -> Result<Self> {
        let name = definition.name.clone();
        Self::prepare(definition, preparing).with_context(|| format!("the task {name}"))
    }

    fn prepare(definition: Definition, preparing: &Preparing<'_>) -> Result<Self> {
        let dataset = Dataset::find(&definition.dataset, preparing.roots)?;
        let templates = Templates::new(definition.templates())?;
        let split = definition.questions_split()?;
        let documents = processed(&definition, dataset.split(split)?)?;
        let n_documents = documents.len();
        // A task that fixes the number at 0 is unchanged.
        let n_shots = match (definition.n_shots, preparing.n_shots) {
            (Some(0), _) => 0,
            (own, wanted) => wanted.or(own).unwrap_or_default(),
        };
        let mut examples = examples(&definition, &dataset, n_shots, preparing.seed)?;
        let n_asked = preparing.limit.map_or(n_documents, |limit| limit.of(n_documents));
        let first = documents.first().context("there are no documents")?;
        let prompter = Prompter::new(&definition, &templates, first);
        let first = Document::new(first);
        // The first document decides whether the contexts differ, instead of the continuations.
        let is_multiple =
            prompter.has_choices() && prompter.text(&definition.prompt, &first)?.as_int().is_some();
        let mut samples = Vec::new();
        for (number, document) in documents.into_iter().take(n_asked).enumerate() {
            let writer = Writer { definition: &definition, prompter: &prompter, is_multiple };
            let written = writer.write(&document, &mut examples, n_shots);
            let (asked, target) = written.with_context(|| format!("document {number}"))?;
            samples.push(Sample { document, target, asked });
        }
        Ok(Self { definition, samples, n_documents, n_shots })
    }

    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// Number of questions whose correct answer is not among their choices; every answer to them is
    /// wrong.
    pub fn n_without_right(&self) -> usize {
        n_without_right(&self.samples)
    }

    /// The questions, in the order of the documents.
    pub fn questions(&self) -> Vec<Question> {
        self.samples.iter().map(|sample| sample.asked.question()).collect()
    }

    /// The accuracy of random guessing; `None` without choices.
    pub fn chance(&self) -> Option<f64> {
        let of_sample = |sample: &Sample| match &sample.asked {
            Asked::Choice { choices, right, .. } => {
                let n_right = right.as_list().map_or(1, <[Value]>::len);
                Some(n_right as f64 / choices.len() as f64)
            }
            _ => None,
        };
        let chances: Option<Vec<f64>> = self.samples.iter().map(of_sample).collect();
        let chances = chances.filter(|chances| !chances.is_empty())?;
        Some(chances.iter().sum::<f64>() / chances.len() as f64)
    }
}

/// Samples whose correct choice, or one of several, is not among their choices.
fn n_without_right(samples: &[Sample]) -> usize {
    let is_without = |sample: &&Sample| match &sample.asked {
        Asked::Choice { choices, right, .. } => {
            let is_among = |right: &Value| {
                right.as_int().is_some_and(|right| (0..choices.len() as i64).contains(&right))
            };
            match right {
                Value::List(several) => !several.iter().all(is_among),
                one => !is_among(one),
            }
        }
        _ => false,
    };
    samples.iter().filter(is_without).count()
}

impl Asked {
    pub fn question(&self) -> Question {
        match self {
            Self::Choice { .. } | Self::Continuation(_) => {
                Question::Continuations(self.continuations())
            }
            Self::Text { text, .. } => Question::Text(text.clone()),
            Self::Open { open, .. } => Question::Open(open.clone()),
        }
    }

    /// Every continuation with its context.
    pub(super) fn continuations(&self) -> Vec<Continuation> {
        let (contexts, continuations, choices, is_compared) = match self {
            Self::Choice { contexts, continuations, choices, is_compared, .. } => {
                (contexts, continuations, choices, is_compared)
            }
            Self::Continuation(continuation) => return vec![continuation.clone()],
            Self::Text { .. } | Self::Open { .. } => return Vec::new(),
        };
        let of = |texts: &[String], number: usize| {
            texts.get(number).or_else(|| texts.first()).cloned().unwrap_or_default()
        };
        let pair = |number: usize| Continuation {
            context: of(contexts, number),
            text: of(continuations, number),
        };
        let without_context =
            |number: usize| Continuation { context: String::new(), ..pair(number) };
        let indices = 0..choices.len();
        let compared = indices.clone().filter(|_| *is_compared).map(without_context);
        indices.map(pair).chain(compared).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_whose_right_choice_is_not_among_them_are_counted() {
        let sample = |right: Value| Sample {
            document: Value::None,
            target: right.clone(),
            asked: Asked::Choice {
                contexts: vec!["q".to_owned()],
                continuations: vec![" a".to_owned(), " b".to_owned()],
                choices: vec!["a".to_owned(), "b".to_owned()],
                right,
                is_compared: false,
            },
        };
        let rights = [Value::Int(1), Value::Int(2), Value::Int(-100), Value::Int(-1), "c".into()];
        let samples: Vec<Sample> = rights.into_iter().map(sample).collect();
        assert_eq!(n_without_right(&samples), 4);
    }

    #[test]
    fn a_limit_is_a_count_or_a_share() {
        let of = |text: &str| text.parse::<Limit>().map(|limit| limit.of(25));
        assert_eq!([of("10"), of("0.1"), of("100")], [Ok(10), Ok(3), Ok(25)]);
        assert!(of("0").is_err() && of("x").is_err() && of("-1").is_err());
    }
}
