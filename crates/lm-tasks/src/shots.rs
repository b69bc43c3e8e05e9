//! Few-shot examples, sampled and written as in lm-evaluation-harness.

use std::collections::BTreeMap;

use super::definition::{Sampler, Shots};
use super::prompt::{Document, Prompter, delimited, needs_delimiter};
use super::python::{Random, Value, resolve_index};
use crate::error::{Context as _, Result, bail, ensure};

/// Samples few-shot examples for one question after the other; the result depends on all samples
/// before.
pub(super) struct Examples<'a> {
    shots: &'a Shots,
    documents: Vec<Value>,
    random: Random,
    /// Whether a document may be among its own examples.
    may_repeat: bool,
    /// The texts of examples that were sampled before.
    written: BTreeMap<usize, String>,
}

impl<'a> Examples<'a> {
    /// With `may_repeat`, an example that equals the question is left out.
    pub(super) fn new(
        shots: &'a Shots,
        documents: Vec<Value>,
        seed: u64,
        may_repeat: bool,
    ) -> Self {
        let written = BTreeMap::new();
        Self { shots, documents, random: Random::new(seed), may_repeat, written }
    }

    /// The text of `n` examples before a question; with `is_multiple`, the contexts are the
    /// choices.
    pub(super) fn before(
        &mut self,
        question: &Value,
        n: usize,
        prompter: &Prompter<'_>,
        is_multiple: bool,
    ) -> Result<String> {
        if n == 0 {
            return Ok(String::new());
        }
        let sampled = self.sample(question, n).with_context(|| {
            format!(
                "{n} few-shot examples were requested, but their split has {} documents",
                self.documents.len()
            )
        })?;
        let mut text = String::new();
        for number in sampled {
            if let Some(written) = self.written.get(&number) {
                text += written;
                continue;
            }
            let document = Document::new(&self.documents[number]);
            let written = turn(self.shots, &document, prompter, is_multiple)
                .with_context(|| format!("example {number}"))?;
            text += &written;
            self.written.insert(number, written);
        }
        Ok(text)
    }

    /// Indices of documents; `None` when there are too few.
    fn sample(&mut self, question: &Value, n: usize) -> Option<Vec<usize>> {
        let n_documents = self.documents.len();
        let is_other = |number: &usize| self.documents[*number] != *question;
        match self.shots.sampler {
            Sampler::First => {
                let mut pool: Vec<usize> = if self.may_repeat {
                    (0..n_documents).filter(is_other).take(n).collect()
                } else {
                    (0..n_documents.min(n)).collect()
                };
                pool.truncate(n);
                (pool.len() == n).then_some(pool)
            }
            Sampler::Random if !self.may_repeat => self.random.sample(n_documents, n),
            Sampler::Random => {
                let sampled = self.random.sample(n_documents, n + 1)?;
                let others: Vec<usize> = sampled.into_iter().filter(is_other).take(n).collect();
                if others.len() == n {
                    return Some(others);
                }
                // The question is in the split more than once.
                let pool: Vec<usize> = (0..n_documents).filter(is_other).collect();
                let sampled = self.random.sample(pool.len(), n)?;
                Some(sampled.into_iter().map(|number| pool[number]).collect())
            }
        }
    }
}

/// One example: question, delimiter, answer, and the delimiter to the next.
fn turn(
    shots: &Shots,
    document: &Document<'_>,
    prompter: &Prompter<'_>,
    is_multiple: bool,
) -> Result<String> {
    let prompt = &shots.prompt;
    let mut question = prompter.text(prompt, document)?;
    let mut choices = match prompter.has_choices() {
        true => Some(prompter.choices(prompt, document)?),
        false => None,
    };
    let answer = prompter.target(prompt, document)?;
    let prefix = prompter.prefix(prompt, document)?.filter(|prefix| !prefix.is_empty());
    if is_multiple {
        let contexts = choices.take().unwrap_or_default();
        question = chosen(&contexts, &question)?.into();
    }
    let question = context(&question)?;
    let has_answer = !answer.is_none() && answer.as_str() != Some("");
    let mut text = asked(question, &prompt.target_delimiter, prefix.as_deref(), has_answer);
    if has_answer {
        let answer = match (&answer, &choices) {
            (Value::Int(_) | Value::Bool(_), Some(choices)) => chosen(choices, &answer)?,
            (Value::List(several), _) => several
                .first()
                .and_then(Value::as_str)
                .map(str::to_owned)
                .context("the first answer is not a text")?,
            (Value::Text(text), _) => text.clone(),
            (other, _) => bail!("the answer is {}; expected a text", other.kind()),
        };
        text += &delimited(prefix.as_deref().unwrap_or_default(), &answer, " ");
        text += &shots.delimiter;
    } else {
        text += prefix.as_deref().unwrap_or_default();
    }
    Ok(text)
}

/// The question with the delimiter before its answer.
pub(super) fn asked(
    question: &str,
    delimiter: &str,
    prefix: Option<&str>,
    has_answer: bool,
) -> String {
    let is_delimited = match prefix {
        Some(prefix) => needs_delimiter(question, prefix),
        None => has_answer,
    };
    format!("{question}{}", if is_delimited { delimiter } else { "" })
}

/// The text of a question, which all but those with several contexts have.
pub(super) fn context(question: &Value) -> Result<&str> {
    question
        .as_str()
        .with_context(|| format!("doc_to_text gives {}; expected a text", question.kind()))
}

/// The choice with this index; negative ones count from the end.
fn chosen(choices: &[String], number: &Value) -> Result<String> {
    let number =
        number.as_int().context("the index of the correct choice is not a whole number")?;
    let index = resolve_index(number, choices.len());
    ensure!(index.is_some(), "the correct choice is {number}, but there are {}", choices.len());
    Ok(index.map(|index| choices[index].clone()).unwrap_or_default())
}
