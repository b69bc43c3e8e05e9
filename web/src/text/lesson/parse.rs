//! A lesson's file: Markdown, with a few lines `key: value` below the heading of a step.
//!
//! Only headings and paragraphs of Markdown are supported. All of it is shown as text.

use thiserror::Error;

use super::{Kind, Lesson, Question, Step};
use crate::text::controls;

/// Why a file is not a lesson.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LessonError {
    #[error("the first line is {found:?}; expected the title, as in \"# Smaller models\"")]
    Title { found: String },
    #[error("no steps found; expected at least one heading like \"## Turn the dial\"")]
    Steps,
    #[error("line {line}: {key}: invalid value {value:?}; expected {expected}")]
    Value { line: usize, key: &'static str, value: String, expected: &'static str },
    #[error("line {line}: \"expect\" without a \"question\" above it")]
    Expect { line: usize },
}

const CONTROLS: &str = "some of dial, strip, curve, prompt, chance, output, share";

/// # Errors
/// [`LessonError`] with the line and what was expected there.
pub fn parse(text: &str) -> Result<Lesson, LessonError> {
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let first = lines.by_ref().find(|(_, line)| !line.is_empty());
    let first = first.map_or("", |(_, line)| line);
    let title =
        first.strip_prefix("# ").ok_or_else(|| LessonError::Title { found: first.to_owned() })?;

    let (mut about, mut steps) = (Vec::new(), Vec::<Step>::new());
    // Keys are directly below a heading, before the first empty line.
    let mut is_below_heading = false;
    let mut is_in_paragraph = false;
    for (number, line) in lines {
        if let Some(title) = line.strip_prefix("## ") {
            steps.push(Step { title: title.trim().to_owned(), ..Step::default() });
            (is_below_heading, is_in_paragraph) = (true, false);
            continue;
        }
        if line.is_empty() {
            (is_below_heading, is_in_paragraph) = (false, false);
            continue;
        }
        if is_below_heading
            && let Some(step) = steps.last_mut()
            && read_key(step, line, number)?
        {
            continue;
        }
        is_below_heading = false;
        let paragraphs = steps.last_mut().map_or(&mut about, |step| &mut step.paragraphs);
        match paragraphs.last_mut() {
            Some(paragraph) if is_in_paragraph => {
                paragraph.push(' ');
                paragraph.push_str(line);
            }
            _ => paragraphs.push(line.to_owned()),
        }
        is_in_paragraph = true;
    }
    if steps.is_empty() {
        return Err(LessonError::Steps);
    }
    Ok(Lesson { title: title.trim().to_owned(), about, steps })
}

/// Reads `key: value` into a step; false for any other line.
fn read_key(step: &mut Step, line: &str, number: usize) -> Result<bool, LessonError> {
    let Some((key, value)) = line.split_once(':') else { return Ok(false) };
    let value = value.trim();
    let controls = |key| {
        controls::parse(value).ok_or_else(|| LessonError::Value {
            line: number,
            key,
            value: value.to_owned(),
            expected: CONTROLS,
        })
    };
    match key {
        "state" => step.state = Some(value.to_owned()),
        "hide" => step.hidden = controls("hide")?,
        "lock" => step.locked = controls("lock")?,
        "question" => {
            step.question = Some(Question { text: value.to_owned(), kind: Kind::Text });
        }
        "expect" => {
            let question = step.question.as_mut().ok_or(LessonError::Expect { line: number })?;
            question.kind = kind(value).ok_or_else(|| LessonError::Value {
                line: number,
                key: "expect",
                value: value.to_owned(),
                expected: "text, number, or choices like \"yes | no\"",
            })?;
        }
        _ => return Ok(false),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::controls::Control;

    const LESSON: &str = "# Sizes\n\nWhat a size\nis.\n\n## One\nstate: ?k=0\nhide: curve\n\
                          lock: dial, strip\nquestion: How many?\nexpect: number\n\nLook: at it.\n\n\
                          ## Two\nquestion: Yes?\nexpect: yes | no\nText at once.\n";

    #[test]
    fn a_lesson_is_parsed() {
        let lesson = parse(LESSON).unwrap();
        assert_eq!(
            (lesson.title.as_str(), lesson.about.join("|")),
            ("Sizes", "What a size is.".into())
        );
        let [one, two] = lesson.steps.as_slice() else { panic!("{:?}", lesson.steps) };
        assert_eq!(one.state.as_deref(), Some("?k=0"));
        assert_eq!(
            (&*one.hidden, &*one.locked),
            (&[Control::Curve][..], &[Control::Dial, Control::Strip][..])
        );
        assert_eq!(one.question.as_ref().unwrap().kind, Kind::Number);
        assert_eq!(one.paragraphs, ["Look: at it."]);
        let choices = Kind::Choice(vec!["yes".to_owned(), "no".to_owned()]);
        assert_eq!(two.question.as_ref().unwrap().kind, choices);
        assert_eq!(two.paragraphs, ["Text at once."]);
    }

    #[test]
    fn errors_have_their_line() {
        assert!(matches!(parse("Sizes"), Err(LessonError::Title { .. })));
        assert_eq!(parse("# Sizes\ntext"), Err(LessonError::Steps));
        let error = parse("# Sizes\n## One\nlock: wheel").unwrap_err();
        assert!(error.to_string().starts_with("line 3: lock: invalid value \"wheel\""), "{error}");
        assert_eq!(parse("# S\n## One\nexpect: text"), Err(LessonError::Expect { line: 3 }));
    }

    proptest! {
        #[test]
        fn no_file_makes_the_parser_panic(text in "(#{0,3} ?[a-z:|? ]{0,12}\n){0,8}") {
            let _ = parse(&text);
        }
    }
}
