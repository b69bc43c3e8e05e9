//! A lesson for one family: placeholders replaced by its facts, and what the lesson says about them
//! checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::facts::Facts;
use crate::placeholders::{in_text, replaced};
use crate::question::{Expected, Kind, Question};
use crate::{Check, Lesson, Step};

/// Why a family's recordings and measurements do not show what a lesson says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsupported {
    /// Names of facts that the family does not have.
    pub missing: Vec<String>,
    /// Comparisons that are false, with their numbers.
    pub failed: Vec<String>,
}

/// As one sentence.
impl fmt::Display for Unsupported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { missing, failed } = self;
        if !missing.is_empty() {
            write!(formatter, "not measured or recorded: {}", missing.join(", "))?;
        }
        if !failed.is_empty() {
            let separator = if missing.is_empty() { "" } else { "; " };
            write!(formatter, "{separator}expected {}", failed.join(", and "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Unsupported {}

impl Lesson {
    /// The names of all facts that it uses.
    pub fn placeholders(&self) -> BTreeSet<String> {
        let of_question = |question: &Question| {
            let choices = match &question.kind {
                Kind::Choice(choices) => choices.clone(),
                Kind::Text | Kind::Number => Vec::new(),
            };
            let answer = question.answer.iter().map(|answer| answer.value.clone());
            [question.text.clone()].into_iter().chain(choices).chain(answer).collect::<Vec<_>>()
        };
        let mut texts: Vec<String> = Vec::new();
        texts.extend(self.needs.iter().flat_map(|need| need.sides()).map(str::to_owned));
        if let Some(check) = &self.check {
            texts.push(check.title.clone());
            texts.extend(check.paragraphs.iter().cloned());
            texts.extend(check.questions.iter().flat_map(of_question));
        }
        for step in &self.steps {
            texts.push(step.title.clone());
            texts.extend(step.paragraphs.iter().chain(&step.state).cloned());
            texts.extend(step.question.iter().flat_map(of_question));
        }
        texts.iter().flat_map(|text| in_text(text)).map(str::to_owned).collect()
    }

    /// The facts that it uses and the family has.
    pub fn used(&self, facts: &Facts) -> BTreeMap<String, String> {
        let names = self.placeholders().into_iter();
        names.filter_map(|name| Some((name.clone(), facts.get(&name)?.to_owned()))).collect()
    }

    /// With the facts of a family in place of the placeholders.
    ///
    /// # Errors
    /// [`Unsupported`] if the family lacks a fact, or what the lesson needs is not true of it.
    pub fn filled(&self, facts: &Facts) -> Result<Self, Unsupported> {
        let missing = self.placeholders().into_iter().filter(|name| facts.get(name).is_none());
        let missing: Vec<String> = missing.collect();
        let fill = |text: &str| {
            replaced(text, |name| facts.get(name).map(str::to_owned)).unwrap_or_default()
        };
        let is_complete = |text: &str| in_text(text).into_iter().all(|it| facts.get(it).is_some());
        let mut failed = Vec::new();
        for need in self.needs.iter().filter(|need| need.sides().into_iter().all(is_complete)) {
            let [left, right] = need.sides().map(fill);
            if !need.holds(&left, &right) {
                failed.push(format!("{need}, found {left} and {right}"));
            }
        }
        if !missing.is_empty() || !failed.is_empty() {
            return Err(Unsupported { missing, failed });
        }
        Ok(self.with(&fill, facts))
    }

    fn with(&self, fill: &dyn Fn(&str) -> String, facts: &Facts) -> Self {
        let all = |texts: &[String]| texts.iter().map(|text| fill(text)).collect::<Vec<_>>();
        let question = |question: &Question| Question {
            text: fill(&question.text),
            kind: match &question.kind {
                Kind::Choice(choices) => Kind::Choice(all(choices)),
                kind => kind.clone(),
            },
            answer: question
                .answer
                .as_ref()
                .map(|answer| Expected { value: fill(&answer.value), within: answer.within }),
        };
        let check = |check: &Check| Check {
            title: fill(&check.title),
            paragraphs: all(&check.paragraphs),
            questions: check.questions.iter().map(question).collect(),
        };
        let state = |state: &String| {
            let value = |name: &str| facts.get(name).map(percent_encoded);
            replaced(state, value).unwrap_or_default()
        };
        let step = |step: &Step| Step {
            title: fill(&step.title),
            paragraphs: all(&step.paragraphs),
            state: step.state.as_ref().map(state),
            question: step.question.as_ref().map(question),
            ..step.clone()
        };
        Self {
            check: self.check.as_ref().map(check),
            steps: self.steps.iter().map(step).collect(),
            ..self.clone()
        }
    }
}

/// As a value in a query.
fn percent_encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    const LESSON: &str = "# S\nneeds: {student layers} < {teacher layers}\n\n## One\n\
                          state: ?k=0&p={prompt}\nquestion: How many?\nexpect: number\n\
                          answer: {sizes}\n\nFrom {student layers} layers.\n";

    fn facts(pairs: &[(&str, &str)]) -> Facts {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn texts_states_and_answers_have_the_facts_of_the_family() {
        let all = [
            ("student layers", "7"),
            ("teacher layers", "12"),
            ("sizes", "6"),
            ("prompt", "a & b"),
            ("family", "unused"),
        ];
        let lesson = parse(LESSON).unwrap();
        let filled = lesson.filled(&facts(&all)).unwrap();
        let step = &filled.steps[0];
        assert_eq!(step.state.as_deref(), Some("?k=0&p=a%20%26%20b"));
        assert_eq!(step.paragraphs, ["From 7 layers."]);
        assert_eq!(step.question.as_ref().unwrap().is_right("6"), Some(true));
        assert_eq!(lesson.used(&facts(&all)).len(), 4);
    }

    #[test]
    fn a_family_of_which_the_lesson_is_not_true_is_refused() {
        let lesson = parse(LESSON).unwrap();
        let found = lesson.filled(&facts(&[("student layers", "7"), ("teacher layers", "6")]));
        let error = found.unwrap_err().to_string();
        assert_eq!(
            error,
            "not measured or recorded: prompt, sizes; expected student layers < teacher layers, \
             found 7 and 6"
        );
    }
}
