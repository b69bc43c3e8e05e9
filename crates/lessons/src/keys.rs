//! The lines `key: value` of a lesson's file, by what they are about.

use crate::controls::{self, Control};
use crate::need::Need;
use crate::parse::LessonError;
use crate::placeholders::in_text;
use crate::question::{Expected, Kind, Question, number};
use crate::{Beside, Lesson, Step};

const CONTROLS: &str = "some of dial, strip, curve, prompt, chance, output, share";
const BESIDE: &str = "bench, teach, device or published";
const NEED: &str = "a comparison like \"{student accuracy} < {teacher accuracy}\", with <, <= or =";

/// A key and its value.
type Pair<'a> = (&'a str, &'a str);

fn invalid(line: usize, key: &'static str, value: &str, expected: &'static str) -> LessonError {
    LessonError::Value { line, key, value: value.to_owned(), expected }
}

/// Reads a line below the title; false if it has another key.
pub(crate) fn read_lesson_key(
    lesson: &mut Lesson,
    (key, value): Pair<'_>,
    line: usize,
) -> Result<bool, LessonError> {
    match key {
        "family" => lesson.family = Some(value.to_owned()),
        "beside" => {
            let beside = Beside::ALL.into_iter().find(|beside| beside.name() == value);
            lesson.beside = beside.ok_or_else(|| invalid(line, "beside", value, BESIDE))?;
        }
        "needs" => {
            let need = Need::parse(value).ok_or_else(|| invalid(line, "needs", value, NEED))?;
            lesson.needs.push(need);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Reads a line below the heading of a step; false if it has another key.
pub(crate) fn read_step_key(
    step: &mut Step,
    (key, value): Pair<'_>,
    line: usize,
) -> Result<bool, LessonError> {
    let controls = |key| -> Result<Vec<Control>, LessonError> {
        controls::parse(value).ok_or_else(|| invalid(line, key, value, CONTROLS))
    };
    match key {
        "state" => step.state = Some(value.to_owned()),
        "hide" => step.hidden = controls("hide")?,
        "lock" => step.locked = controls("lock")?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Reads a line of a question, the last one of `questions` or a new one; false if it has another key.
pub(crate) fn read_question_key(
    questions: &mut Vec<Question>,
    (key, value): Pair<'_>,
    line: usize,
) -> Result<bool, LessonError> {
    if key == "question" {
        questions.push(Question { text: value.to_owned(), kind: Kind::Text, answer: None });
        return Ok(true);
    }
    let Some(key) = ["expect", "answer", "within"].into_iter().find(|known| *known == key) else {
        return Ok(false);
    };
    let question = questions.last_mut().ok_or(LessonError::NoQuestion { line, key })?;
    match (key, &mut question.answer) {
        ("expect", Some(_)) => {
            return Err(invalid(line, key, value, "\"expect\" above \"answer\""));
        }
        ("expect", None) => {
            let expected = "text, number, or choices like \"yes | no\"";
            question.kind = kind(value).ok_or_else(|| invalid(line, key, value, expected))?;
        }
        ("within", Some(answer)) if question.kind == Kind::Number => {
            let within = number(value).filter(|within| *within >= 0.0);
            answer.within =
                within.ok_or_else(|| invalid(line, key, value, "a number of at least 0"))?;
        }
        ("within", _) => {
            return Err(invalid(line, key, value, "an \"answer\" above it that is a number"));
        }
        _ => {
            let is_filled_later = !in_text(value).is_empty();
            let fits = match &question.kind {
                Kind::Text => false,
                Kind::Number => is_filled_later || number(value).is_some(),
                Kind::Choice(choices) => choices.iter().any(|choice| choice == value),
            };
            if !fits {
                let (answer, question) = (value.to_owned(), question.text.clone());
                return Err(LessonError::Answer { line, answer, question });
            }
            question.answer = Some(Expected { value: value.to_owned(), within: 0.0 });
        }
    }
    Ok(true)
}

fn kind(value: &str) -> Option<Kind> {
    match value {
        "text" => Some(Kind::Text),
        "number" => Some(Kind::Number),
        choices => {
            let choices: Vec<String> =
                choices.split('|').map(|choice| choice.trim().to_owned()).collect();
            let is_usable = choices.len() > 1 && choices.iter().all(|choice| !choice.is_empty());
            is_usable.then_some(Kind::Choice(choices))
        }
    }
}
