//! A task with its documents: what is asked, and what is right.

use anyhow::{Context as _, bail, ensure};
use boomerang_core::evaluate::{Continuation, Open, Question};

use super::dataset::{Dataset, Roots};
use super::definition::{Definition, Kind, Metric};
use super::prompt::{Document, Prompter};
use super::python::{Value, is_blank};
use super::shots::{Examples, asked, context};
use super::template::Templates;

/// A task whose questions are ready.
#[derive(Clone, Debug)]
pub struct Task {
    pub definition: Definition,
    /// Of the documents, those that are asked.
    pub samples: Vec<Sample>,
    pub n_documents: usize,
    /// Examples before each question.
    pub n_shots: usize,
}

/// A document and its question.
#[derive(Clone, Debug)]
pub struct Sample {
    pub document: Value,
    /// What is right: an answer, its place among the choices, or several of these.
    pub target: Value,
    pub asked: Asked,
}

/// A question with what it is judged by.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    Choice {
        /// One for all choices, or one for each.
        contexts: Vec<String>,
        /// Behind the context; one for all contexts, or one for each choice.
        continuations: Vec<String>,
        /// The choices themselves, whose lengths count.
        choices: Vec<String>,
        /// The right one, or the right ones.
        right: Value,
        /// Whether each continuation is asked without context too.
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

/// Of the documents, how many are asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    Count(usize),
    /// Of all, from 0 to 1.
    Share(f64),
}

/// How tasks are prepared.
#[derive(Clone, Debug)]
pub struct Preparing<'a> {
    pub roots: &'a Roots,
    pub n_shots: Option<usize>,
    pub limit: Option<Limit>,
    /// Of the draw of examples.
    pub seed: u64,
}

impl std::str::FromStr for Limit {
    type Err = String;

    /// A whole number, or a share below 1.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(share) if share > 0.0 && share < 1.0 => Ok(Self::Share(share)),
            Ok(count) if count >= 1.0 && count < 1e15 => Ok(Self::Count(count as usize)),
            _ => Err(format!(
                "{text:?} is no limit; expected a number from 1, or a share such as 0.1"
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
    /// Names the document that does not fit the task.
    pub fn new(definition: Definition, preparing: &Preparing<'_>) -> anyhow::Result<Self> {
        let name = definition.name.clone();
        Self::prepare(definition, preparing).with_context(|| format!("the task {name}"))
    }

    fn prepare(definition: Definition, preparing: &Preparing<'_>) -> anyhow::Result<Self> {
        let dataset = Dataset::find(&definition.dataset, preparing.roots)?;
        let templates = Templates::new(definition.templates())?;
        let split = definition.questions_split()?;
        let documents = processed(&definition, dataset.split(split)?)?;
        let n_documents = documents.len();
        // A task that asks for none on its own account is left as it is.
        let n_shots = match (definition.n_shots, preparing.n_shots) {
            (Some(0), _) => 0,
            (own, wanted) => wanted.or(own).unwrap_or_default(),
        };
        let mut examples = examples(&definition, &dataset, n_shots, preparing.seed)?;
        let n_asked = preparing.limit.map_or(n_documents, |limit| limit.of(n_documents));
        let first = documents.first().context("there are no documents")?;
        let prompter = Prompter::new(&definition, &templates, first);
        let first = Document::new(first);
        // The first document tells whether the contexts differ, and not what comes after them.
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

    /// What is asked, in the order of the documents.
    pub fn questions(&self) -> Vec<Question> {
        self.samples.iter().map(|sample| sample.asked.question()).collect()
    }

    /// The accuracy of guessing; `None` where there is nothing to choose from.
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

fn processed(definition: &Definition, mut documents: Vec<Value>) -> anyhow::Result<Vec<Value>> {
    if let Some(process) = definition.functions.process {
        for (number, document) in documents.iter_mut().enumerate() {
            process(document).with_context(|| format!("document {number}"))?;
        }
    }
    Ok(documents)
}

fn examples<'a>(
    definition: &'a Definition,
    dataset: &Dataset,
    n_shots: usize,
    seed: u64,
) -> anyhow::Result<Examples<'a>> {
    let shots = &definition.shots;
    let splits = &definition.splits;
    let documents = if n_shots == 0 {
        Vec::new()
    } else if let Some(split) = &shots.split {
        processed(definition, dataset.split(split)?)?
    } else if let Some(samples) = &shots.samples {
        samples.clone()
    } else {
        let split =
            splits.training.as_ref().or(splits.validation.as_ref()).or(splits.test.as_ref());
        processed(definition, dataset.split(split.context("there is no part for examples")?)?)?
    };
    // Two parts that are both not named are the same one to lm-evaluation-harness.
    let may_repeat = shots.split == splits.test;
    Ok(Examples::new(shots, documents, seed, may_repeat))
}

/// Writes the questions of one task.
struct Writer<'a> {
    definition: &'a Definition,
    prompter: &'a Prompter<'a>,
    /// Whether each choice has a context of its own.
    is_multiple: bool,
}

impl Writer<'_> {
    fn write(
        &self,
        value: &Value,
        examples: &mut Examples<'_>,
        n_shots: usize,
    ) -> anyhow::Result<(Asked, Value)> {
        let Self { definition, prompter, is_multiple } = *self;
        let prompt = &definition.prompt;
        let document = &Document::new(value);
        let mut before = match &definition.description {
            Some(description) => prompter.resolved(description, document).context("description")?,
            None => String::new(),
        };
        before += &examples.before(value, n_shots, prompter, is_multiple)?;
        let text = prompter.text(prompt, document)?;
        let target = prompter.target(prompt, document)?;
        let prefix = prompter.prefix(prompt, document)?.filter(|prefix| !prefix.is_empty());
        // Where each choice has its context, nothing parts that from what the answer begins with.
        let delimiter = if is_multiple { "" } else { &*prompt.target_delimiter };
        let ask = |question: &str| {
            let asked = asked(question, delimiter, prefix.as_deref(), false);
            format!("{before}{asked}{}", prefix.as_deref().unwrap_or_default())
        };
        let asked = match definition.kind {
            Kind::MultipleChoice => self.choice(document, &text, &target, ask)?,
            Kind::LogLikelihood => Asked::Continuation(Continuation {
                context: ask(context(&text)?),
                text: answer(&target)?.to_owned(),
            }),
            Kind::Rolling => {
                let text = answer(&target)?.to_owned();
                let measured = match definition.functions.measured {
                    Some(measured) => measured(value)?,
                    None => text.clone(),
                };
                Asked::Text { text, n_words: n_words(&measured), n_bytes: measured.len() }
            }
            Kind::Generate => {
                let right = match (&target, prompter.has_choices()) {
                    (target, true) => {
                        let choices = prompter.choices(prompt, document)?;
                        let place = target
                            .as_int()
                            .and_then(|number| super::python::place(number, choices.len()));
                        let place = place.context("doc_to_target is no place among the choices")?;
                        choices[place].as_str().into()
                    }
                    (target, false) => target.clone(),
                };
                let context = ask(context(&text)?);
                let generating = &definition.generating;
                let (until, max_tokens) = (generating.until.clone(), generating.max_tokens);
                Asked::Open { open: Open { context, until, max_tokens }, right }
            }
        };
        Ok((asked, target))
    }

    fn choice(
        &self,
        document: &Document<'_>,
        text: &Value,
        target: &Value,
        ask: impl Fn(&str) -> String,
    ) -> anyhow::Result<Asked> {
        let prompt = &self.definition.prompt;
        let choices = self.prompter.choices(prompt, document)?;
        let delimiter = &prompt.target_delimiter;
        let (contexts, continuations, right) = if self.is_multiple {
            let contexts = choices.iter().map(|choice| ask(choice)).collect();
            let continuation = format!("{delimiter}{}", super::python::text(target));
            (contexts, vec![continuation], text.clone())
        } else {
            let continuations =
                choices.iter().map(|choice| format!("{delimiter}{choice}")).collect();
            (vec![ask(context(text)?)], continuations, target.clone())
        };
        let is_compared = self
            .definition
            .metrics
            .iter()
            .any(|entry| matches!(entry.metric, Metric::AccMutualInfo));
        ensure!(
            !(is_compared && self.is_multiple),
            "acc_mutual_info compares continuations, and here the contexts differ"
        );
        let right = places(&right, &choices)?;
        Ok(Asked::Choice { contexts, continuations, choices, right, is_compared })
    }
}

/// The right choice as a place, or the right ones as a list of places.
fn places(right: &Value, choices: &[String]) -> anyhow::Result<Value> {
    Ok(match right {
        Value::Int(_) | Value::Bool(_) => Value::Int(right.as_int().unwrap_or_default()),
        Value::Text(text) => {
            let place = choices.iter().position(|choice| choice == text);
            place.map_or(Value::Int(NOWHERE), Value::from)
        }
        Value::List(several) => {
            let place = |value: &Value| value.as_int().map(Value::Int);
            let places: Option<Vec<Value>> = several.iter().map(place).collect();
            Value::List(
                places.context("several choices are right, and one of them is no whole number")?,
            )
        }
        other => bail!("the right choice is {}; expected its place or its text", other.kind()),
    })
}

/// What lm-evaluation-harness counts with when the right choice is none of them.
pub(super) const NOWHERE: i64 = -100;

fn answer(target: &Value) -> anyhow::Result<&str> {
    let wrong = || format!("doc_to_target gives {}; expected a text", target.kind());
    target.as_str().with_context(wrong)
}

/// As many as blanks part them into, an empty one at either end included.
fn n_words(text: &str) -> usize {
    let mut was_blank = false;
    let starts = text.chars().filter(|&char| {
        let starts = is_blank(char) && !was_blank;
        was_blank = is_blank(char);
        starts
    });
    starts.count() + 1
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
        let alone = |number: usize| Continuation { context: String::new(), ..pair(number) };
        let places = 0..choices.len();
        let compared = places.clone().filter(|_| *is_compared).map(alone);
        places.map(pair).chain(compared).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_as_python_splits_them() {
        let counts = ["", "a", " a", "a  b\n\nc", "a ", "a\u{1c}b"].map(n_words);
        assert_eq!(counts, [1, 1, 2, 3, 2, 2]);
    }

    #[test]
    fn a_limit_is_a_count_or_a_share() {
        let of = |text: &str| text.parse::<Limit>().map(|limit| limit.of(25));
        assert_eq!([of("10"), of("0.1"), of("100")], [Ok(10), Ok(3), Ok(25)]);
        assert!(of("0").is_err() && of("x").is_err() && of("-1").is_err());
    }

    #[test]
    fn a_right_choice_may_be_told_by_its_text() {
        let choices = ["a".to_owned(), "b".to_owned()];
        assert_eq!(places(&"b".into(), &choices).unwrap(), Value::Int(1));
        assert_eq!(places(&"c".into(), &choices).unwrap(), Value::Int(NOWHERE));
        assert!(places(&Value::None, &choices).is_err());
    }
}
