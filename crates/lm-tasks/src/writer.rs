//! Documents written as questions, with their few-shot examples and targets.

use boomerang_core::evaluate::{Continuation, Open};

use super::dataset::Dataset;
use super::definition::{Definition, Kind, Metric};
use super::prompt::{Document, Prompter};
use super::python::{self, Value, is_blank, resolve_index};
use super::shots::{Examples, asked, context};
use super::task::Asked;
use crate::error::{Context as _, Result, bail, ensure};

pub(super) fn processed(definition: &Definition, mut documents: Vec<Value>) -> Result<Vec<Value>> {
    if let Some(process) = definition.functions.process {
        for (number, document) in documents.iter_mut().enumerate() {
            process(document).with_context(|| format!("document {number}"))?;
        }
    }
    Ok(documents)
}

pub(super) fn examples<'a>(
    definition: &'a Definition,
    dataset: &Dataset,
    n_shots: usize,
    seed: u64,
) -> Result<Examples<'a>> {
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
        processed(
            definition,
            dataset.split(split.context(
                "the task has no split for few-shot examples; expected fewshot_split",
            )?)?,
        )?
    };
    // lm-evaluation-harness treats two unnamed splits as the same one.
    let may_repeat = shots.split == splits.test;
    Ok(Examples::new(shots, documents, seed, may_repeat))
}

/// Writes the questions of one task.
pub(super) struct Writer<'a> {
    pub(super) definition: &'a Definition,
    pub(super) prompter: &'a Prompter<'a>,
    /// Whether each choice has a context of its own.
    pub(super) is_multiple: bool,
}

impl Writer<'_> {
    pub(super) fn write(
        &self,
        value: &Value,
        examples: &mut Examples<'_>,
        n_shots: usize,
    ) -> Result<(Asked, Value)> {
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
        // Where each choice has its own context, no delimiter follows it.
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
                        let index =
                            target.as_int().and_then(|number| resolve_index(number, choices.len()));
                        let index = index.context("doc_to_target is not the index of a choice")?;
                        choices[index].as_str().into()
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
    ) -> Result<Asked> {
        let prompt = &self.definition.prompt;
        let choices = self.prompter.choices(prompt, document)?;
        let delimiter = &prompt.target_delimiter;
        let (contexts, continuations, right) = if self.is_multiple {
            let contexts = choices.iter().map(|choice| ask(choice)).collect();
            let continuation = format!("{delimiter}{}", python::text(target));
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
            "acc_mutual_info is not defined for tasks whose choices are contexts"
        );
        let right = indices(&right, &choices)?;
        Ok(Asked::Choice { contexts, continuations, choices, right, is_compared })
    }
}

/// The index of the correct choice, or a list of several.
fn indices(right: &Value, choices: &[String]) -> Result<Value> {
    Ok(match right {
        Value::Int(_) | Value::Bool(_) => Value::Int(right.as_int().unwrap_or_default()),
        Value::Text(text) => {
            let index = choices.iter().position(|choice| choice == text);
            index.map_or(Value::Int(NOWHERE), Value::from)
        }
        Value::List(several) => {
            let index = |value: &Value| value.as_int().map(Value::Int);
            let indices: Option<Vec<Value>> = several.iter().map(index).collect();
            Value::List(
                indices.context("several choices are correct, and one is not a whole number")?,
            )
        }
        other => bail!("the correct choice is {}; expected its index or its text", other.kind()),
    })
}

/// The index that lm-evaluation-harness uses when the correct answer is not among the choices.
pub(super) const NOWHERE: i64 = -100;

fn answer(target: &Value) -> Result<&str> {
    let wrong = || format!("doc_to_target gives {}; expected a text", target.kind());
    target.as_str().with_context(wrong)
}

/// The number of words, split at whitespace, including an empty one at either end.
fn n_words(text: &str) -> usize {
    let mut was_blank = false;
    let starts = text.chars().filter(|&char| {
        let starts = is_blank(char) && !was_blank;
        was_blank = is_blank(char);
        starts
    });
    starts.count() + 1
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
    fn a_correct_choice_may_be_given_by_its_text() {
        let choices = ["a".to_owned(), "b".to_owned()];
        assert_eq!(indices(&"b".into(), &choices).unwrap(), Value::Int(1));
        assert_eq!(indices(&"c".into(), &choices).unwrap(), Value::Int(NOWHERE));
        assert!(indices(&Value::None, &choices).is_err());
    }
}
