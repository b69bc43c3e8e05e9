//! A lesson's file: Markdown, with lines `key: value` below headings.
//!
//! Only headings and paragraphs of Markdown are supported. All of it is shown as text.

use thiserror::Error;

use crate::facts::NAMES;
use crate::keys::{read_lesson_key, read_question_key, read_step_key};
use crate::placeholders::in_text;
use crate::question::Question;
use crate::{Beside, Check, Lesson, Step, hash};

/// Why a file is not a lesson.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LessonError {
    #[error("the file has {found} bytes; expected at most {MOST_BYTES}")]
    TooLarge { found: usize },
    #[error("the first line is {found:?}; expected the title, as in \"# Smaller models\"")]
    Title { found: String },
    #[error("no steps found; expected at least one heading like \"## Turn the dial\"")]
    Steps,
    #[error("line {line}: {key}: invalid value {value:?}; expected {expected}")]
    Value { line: usize, key: &'static str, value: String, expected: &'static str },
    #[error("line {line}: \"{key}\" without a \"question\" above it")]
    NoQuestion { line: usize, key: &'static str },
    #[error("line {line}: a second \"{key}\"; expected at most one here")]
    Twice { line: usize, key: &'static str },
    #[error("line {line}: the section has no questions; expected at least one \"question: …\"")]
    NoQuestions { line: usize },
    #[error(
        "line {line}: {answer:?} is not an answer to {question:?}; expected a number or one of its \
         choices below an \"expect\" that is not \"text\""
    )]
    Answer { line: usize, answer: String, question: String },
    #[error("line {line}: unknown placeholder {{{name}}}; expected one of {}", NAMES.join(", "))]
    Placeholder { line: usize, name: String },
    #[error(
        "line {line}: placeholder {{{name}}} above the first step; the list of lessons shows this text \
         before a family is loaded"
    )]
    EarlyPlaceholder { line: usize, name: String },
}

/// Larger files are not lessons.
pub(crate) const MOST_BYTES: usize = 1_000_000;

/// Where the parser is.
enum Section {
    /// Above the first heading of a step.
    Lesson,
    /// The questions at both ends; the line of its heading.
    Check(usize),
    Step,
}

struct Parser {
    lesson: Lesson,
    section: Section,
    /// Keys are directly below a heading, before the first empty line.
    is_below_heading: bool,
    is_in_paragraph: bool,
}

/// # Errors
/// [`LessonError`] with the line and what was expected there.
pub fn parse(text: &str) -> Result<Lesson, LessonError> {
    if text.len() > MOST_BYTES {
        return Err(LessonError::TooLarge { found: text.len() });
    }
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let first = lines.by_ref().find(|(_, line)| !line.is_empty());
    let (_, first) = first.unwrap_or_default();
    let first = first.trim_start_matches('\u{feff}');
    let title = first
        .strip_prefix("# ")
        .ok_or_else(|| LessonError::Title { found: first.chars().take(80).collect() })?;
    let mut parser = Parser::new(title.trim(), text);
    for (number, line) in lines {
        let unknown = in_text(line).into_iter().find(|name| !NAMES.contains(name));
        if let Some(name) = unknown {
            return Err(LessonError::Placeholder { line: number, name: name.to_owned() });
        }
        parser.read(number, line)?;
    }
    parser.finish()
}

impl Parser {
    fn new(title: &str, text: &str) -> Self {
        let lesson = Lesson {
            title: title.to_owned(),
            about: Vec::new(),
            family: None,
            beside: Beside::default(),
            needs: Vec::new(),
            check: None,
            steps: Vec::new(),
            sha256: hash(text),
        };
        Self { lesson, section: Section::Lesson, is_below_heading: true, is_in_paragraph: false }
    }

    fn read(&mut self, number: usize, line: &str) -> Result<(), LessonError> {
        if let Some(title) = line.strip_prefix("## ") {
            self.end_section()?;
            self.lesson.steps.push(Step { title: title.trim().to_owned(), ..Step::default() });
            self.section = Section::Step;
            (self.is_below_heading, self.is_in_paragraph) = (true, false);
            return Ok(());
        }
        if line.is_empty() {
            (self.is_below_heading, self.is_in_paragraph) = (false, false);
            return Ok(());
        }
        // The questions of the check are below each other, with empty lines between them.
        let may_be_key = self.is_below_heading || matches!(self.section, Section::Check(_));
        if may_be_key && self.read_key(line, number)? {
            self.is_in_paragraph = false;
            return Ok(());
        }
        self.is_below_heading = false;
        let is_in_paragraph = std::mem::replace(&mut self.is_in_paragraph, true);
        if let (Section::Lesson, Some(name)) = (&self.section, in_text(line).first()) {
            return Err(LessonError::EarlyPlaceholder { line: number, name: (*name).to_owned() });
        }
        let paragraphs = self.paragraphs();
        match paragraphs.last_mut() {
            Some(paragraph) if is_in_paragraph => {
                paragraph.push(' ');
                paragraph.push_str(line);
            }
            _ => paragraphs.push(line.to_owned()),
        }
        Ok(())
    }

    /// Reads `key: value`; false for any other line.
    fn read_key(&mut self, line: &str, number: usize) -> Result<bool, LessonError> {
        let Some((key, value)) = line.split_once(':') else { return Ok(false) };
        let value = value.trim();
        match self.section {
            Section::Lesson => read_lesson_key(&mut self.lesson, (key, value), number),
            Section::Step if key == "asked" => {
                self.start_check(value, number)?;
                Ok(true)
            }
            Section::Step => {
                let Some(step) = self.lesson.steps.last_mut() else { return Ok(false) };
                if read_step_key(step, (key, value), number)? {
                    return Ok(true);
                }
                if key == "question" && step.question.is_some() {
                    return Err(LessonError::Twice { line: number, key: "question" });
                }
                let mut questions: Vec<Question> = step.question.take().into_iter().collect();
                let read = read_question_key(&mut questions, (key, value), number);
                step.question = questions.pop();
                read
            }
            Section::Check(_) => {
                let Some(check) = &mut self.lesson.check else { return Ok(false) };
                read_question_key(&mut check.questions, (key, value), number)
            }
        }
    }

    /// The last heading was that of the questions at both ends, and not of a step.
    fn start_check(&mut self, value: &str, line: usize) -> Result<(), LessonError> {
        if value != "before and after" {
            let (key, expected) = ("asked", "\"before and after\"");
            return Err(LessonError::Value { line, key, value: value.to_owned(), expected });
        }
        if self.lesson.check.is_some() {
            return Err(LessonError::Twice { line, key: "asked: before and after" });
        }
        let Step { title, paragraphs, .. } = self.lesson.steps.pop().unwrap_or_default();
        self.lesson.check = Some(Check { title, paragraphs, questions: Vec::new() });
        self.section = Section::Check(line);
        Ok(())
    }

    fn end_section(&self) -> Result<(), LessonError> {
        match (&self.section, &self.lesson.check) {
            (Section::Check(line), Some(check)) if check.questions.is_empty() => {
                Err(LessonError::NoQuestions { line: *line })
            }
            _ => Ok(()),
        }
    }

    /// Those of the section.
    fn paragraphs(&mut self) -> &mut Vec<String> {
        let Lesson { about, check, steps, .. } = &mut self.lesson;
        let own = match self.section {
            Section::Lesson => None,
            Section::Check(_) => check.as_mut().map(|check| &mut check.paragraphs),
            Section::Step => steps.last_mut().map(|step| &mut step.paragraphs),
        };
        own.unwrap_or(about)
    }

    fn finish(self) -> Result<Lesson, LessonError> {
        self.end_section()?;
        if self.lesson.steps.is_empty() {
            return Err(LessonError::Steps);
        }
        Ok(self.lesson)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::controls::Control;
    use crate::question::Kind;

    const LESSON: &str = "# Sizes\nfamily: Demo\nneeds: {student layers} < 9\n\nWhat a size\nis.\n\n\
                          ## First\nasked: before and after\n\nGuess.\n\nquestion: Trained?\n\
                          expect: yes | no\nanswer: no\n\nquestion: How many?\nexpect: number\n\
                          answer: {sizes}\nwithin: 0.5\n\n\
                          ## One\nstate: ?k=0\nhide: curve\nlock: dial, strip\n\
                          question: How many?\nexpect: number\n\nLook: at it.\n\n\
                          ## Two\nquestion: Yes?\nexpect: yes | no\nText at once.\n";

    #[test]
    fn a_lesson_is_parsed() {
        let lesson = parse(LESSON).unwrap();
        assert_eq!((&*lesson.title, lesson.about.join("|")), ("Sizes", "What a size is.".into()));
        assert_eq!((lesson.family.as_deref(), lesson.needs.len()), (Some("Demo"), 1));
        let [one, two] = lesson.steps.as_slice() else { panic!("{:?}", lesson.steps) };
        assert_eq!(one.state.as_deref(), Some("?k=0"));
        let limits = (&*one.hidden, &*one.locked);
        assert_eq!(limits, (&[Control::Curve][..], &[Control::Dial, Control::Strip][..]));
        assert_eq!(one.question.as_ref().unwrap().kind, Kind::Number);
        assert_eq!(one.paragraphs, ["Look: at it."]);
        let choices = Kind::Choice(vec!["yes".to_owned(), "no".to_owned()]);
        assert_eq!(two.question.as_ref().unwrap().kind, choices);
        assert_eq!(two.paragraphs, ["Text at once."]);
    }

    #[test]
    fn the_questions_at_both_ends_are_not_a_step() {
        let check = parse(LESSON).unwrap().check.unwrap();
        assert_eq!((&*check.title, &*check.paragraphs), ("First", &["Guess.".to_owned()][..]));
        let [trained, many] = check.questions.as_slice() else { panic!("{check:?}") };
        assert_eq!(trained.is_right("no"), Some(true));
        let answer = many.answer.as_ref().unwrap();
        assert_eq!((&*answer.value, answer.within), ("{sizes}", 0.5));
    }

    fn refused(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn errors_have_their_line() {
        assert!(matches!(parse("Sizes"), Err(LessonError::Title { .. })));
        assert_eq!(parse("# Sizes\ntext"), Err(LessonError::Steps));
        let cases = [
            ("# S\n## One\nlock: wheel", "line 3: lock: invalid value \"wheel\""),
            ("# S\n## One\nexpect: text", "line 3: \"expect\" without a \"question\" above it"),
            ("# S\n## One\nquestion: A?\nquestion: B?", "line 4: a second \"question\""),
            ("# S\n## One\nquestion: A?\nanswer: 3", "line 4: \"3\" is not an answer to \"A?\""),
            (
                "# S\n## One\nquestion: A?\nexpect: a | b\nanswer: c",
                "line 5: \"c\" is not an answer to \"A?\"",
            ),
            (
                "# S\n## One\nquestion: A?\nexpect: number\nanswer: 3\nwithin: -1",
                "line 6: within: invalid value \"-1\"",
            ),
            (
                "# S\n## One\nquestion: A?\nexpect: number\nwithin: 1",
                "line 5: within: invalid value \"1\"; expected an \"answer\" above it",
            ),
            ("# S\n## One\nasked: now", "line 3: asked: invalid value \"now\""),
            (
                "# S\n## A\nasked: before and after\n\n## One",
                "line 3: the section has no questions",
            ),
            ("# S\nbeside: the sea\n## One", "line 2: beside: invalid value \"the sea\""),
            ("# S\nneeds: luck\n## One", "line 2: needs: invalid value \"luck\""),
            ("# S\n{sizes} sizes.\n\n## One", "line 2: placeholder {sizes} above the first step"),
            ("# S\n## One\nThe {studnet layers}.", "line 3: unknown placeholder {studnet layers}"),
        ];
        for (text, start) in cases {
            assert!(refused(text).starts_with(start), "{}", refused(text));
        }
        let two = "## A\nasked: before and after\nquestion: A?\n";
        assert!(refused(&format!("# S\n{two}{two}## One")).starts_with("line 6: a second"));
    }

    #[test]
    fn a_file_of_another_kind_is_not_read_to_its_end() {
        assert_eq!(
            parse(&"#".repeat(MOST_BYTES + 1)),
            Err(LessonError::TooLarge { found: MOST_BYTES + 1 })
        );
    }

    #[test]
    fn line_ends_do_not_make_another_lesson() {
        let windows = LESSON.replace('\n', "\r\n");
        assert_eq!(parse(&windows).unwrap(), parse(LESSON).unwrap());
        assert_ne!(parse(&LESSON.replace("Guess", "Bet")).unwrap().sha256, hash(LESSON));
    }

    proptest! {
        #[test]
        fn no_file_makes_the_parser_panic(text in "(#{0,3} ?[a-z:|?{} ]{0,12}\n){0,8}") {
            let _ = parse(&text);
        }
    }
}
