//! Answer sheets: what one person answered in a lesson, as a file.
//!
//! A sheet has no time and no personal data but a name, if its author gives one; its number is random
//! and distinguishes it from other sheets with the same answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::facts::Facts;
use crate::{Lesson, Question};

/// When a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// Before the first step.
    Before,
    /// In a step.
    Step,
    /// After the last step.
    After,
}

impl Asked {
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Step => "step",
            Self::After => "after",
        }
    }
}

/// What a person has answered so far, by the numbers of the questions from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answers {
    pub before: BTreeMap<usize, String>,
    pub step: BTreeMap<usize, String>,
    pub after: BTreeMap<usize, String>,
}

impl Answers {
    pub fn of(&self, asked: Asked) -> &BTreeMap<usize, String> {
        match asked {
            Asked::Before => &self.before,
            Asked::Step => &self.step,
            Asked::After => &self.after,
        }
    }

    /// Sets an answer; an empty one is none.
    pub fn set(&mut self, asked: Asked, number: usize, answer: String) {
        let answers = match asked {
            Asked::Before => &mut self.before,
            Asked::Step => &mut self.step,
            Asked::After => &mut self.after,
        };
        if answer.trim().is_empty() {
            answers.remove(&number);
        } else {
            answers.insert(number, answer);
        }
    }

    /// How many questions of the check are answered rightly at this end; the lesson is a filled one.
    pub fn n_right(&self, lesson: &Lesson, asked: Asked) -> usize {
        let is_right = |(&number, answer): (&usize, &String)| {
            lesson.question(asked, number).and_then(|question| question.is_right(answer))
        };
        self.of(asked).iter().filter(|answer| is_right(*answer) == Some(true)).count()
    }
}

/// `boomerang-answers`, version 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    /// Always `boomerang-answers`.
    pub format: String,
    pub version: u32,
    /// Random; distinguishes sheets with the same answers.
    pub sheet: String,
    pub lesson: LessonText,
    /// The family that was loaded.
    pub family: Option<FamilyName>,
    /// The facts of the family that the lesson uses.
    pub facts: BTreeMap<String, String>,
    /// As its author likes to be called.
    pub name: Option<String>,
    pub answers: Vec<SheetAnswer>,
    pub score: SheetScore,
}

/// Which text was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LessonText {
    pub title: String,
    pub sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyName {
    pub name: String,
    /// See `Manifest::fingerprint` in `boomerang-core`; `None` for results without weights.
    pub fingerprint: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SheetAnswer {
    pub asked: Asked,
    /// Of the question at both ends, or of the step, from 1.
    pub number: usize,
    pub question: String,
    pub answer: Option<String>,
    /// `None` if the question is not scored or not answered.
    pub is_right: Option<bool>,
}

/// Right answers to the questions at both ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SheetScore {
    pub before: usize,
    pub after: usize,
    /// Questions that are scored.
    pub of: usize,
}

/// Why a file is not an answer sheet.
#[derive(Debug, Error)]
pub enum SheetError {
    #[error("{found} bytes; expected at most {MOST_BYTES} for an answer sheet")]
    TooLarge { found: u64 },
    #[error("not an answer sheet: {0}")]
    Json(#[from] serde_json::Error),
    #[error(
        "format {format:?}, version {version}; expected \"boomerang-answers\", version {}: save the \
         sheet again with this version of the page",
        Sheet::VERSION
    )]
    Version { format: String, version: u32 },
}

/// Larger files are not answer sheets.
pub const MOST_BYTES: u64 = 1 << 18;

impl Sheet {
    pub const FORMAT: &'static str = "boomerang-answers";
    pub const VERSION: u32 = 2;

    /// The sheet of a lesson that is filled with `facts`.
    pub fn new(
        lesson: &Lesson,
        facts: BTreeMap<String, String>,
        family: Option<FamilyName>,
        (sheet, name): (String, Option<String>),
        answers: &Answers,
    ) -> Self {
        let answer = |(asked, number): (Asked, usize)| {
            let question: &Question = lesson.question(asked, number)?;
            let answer = answers.of(asked).get(&number).cloned();
            let is_right = answer.as_deref().and_then(|answer| question.is_right(answer));
            Some(SheetAnswer { asked, number, question: question.text.clone(), answer, is_right })
        };
        Self {
            format: Self::FORMAT.to_owned(),
            version: Self::VERSION,
            sheet,
            lesson: LessonText { title: lesson.title.clone(), sha256: lesson.sha256.clone() },
            family,
            facts,
            name,
            answers: lesson.asked().into_iter().filter_map(answer).collect(),
            score: SheetScore {
                before: answers.n_right(lesson, Asked::Before),
                after: answers.n_right(lesson, Asked::After),
                of: lesson.n_scored(),
            },
        }
    }

    /// # Errors
    /// [`SheetError`] for anything but a sheet of this version.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SheetError> {
        #[derive(Deserialize)]
        struct Header {
            format: String,
            version: u32,
        }
        if bytes.len() as u64 > MOST_BYTES {
            return Err(SheetError::TooLarge { found: bytes.len() as u64 });
        }
        let Header { format, version } = serde_json::from_slice(bytes)?;
        if format != Self::FORMAT || version != Self::VERSION {
            return Err(SheetError::Version { format, version });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    pub fn to_json(&self) -> String {
        // Strings, numbers and lists cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The answers, by when they were asked.
    pub(crate) fn given(&self) -> Answers {
        let mut answers = Answers::default();
        for SheetAnswer { asked, number, answer, .. } in &self.answers {
            answers.set(*asked, *number, answer.clone().unwrap_or_default());
        }
        answers
    }

    pub(crate) fn facts(&self) -> Facts {
        self.facts.clone().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    const LESSON: &str = "# S\n\n## Guess\nasked: before and after\nquestion: A?\nexpect: a | b\n\
                          answer: b\n\n## One\nquestion: B?\n\n## Two\nNothing.\n\n## Three\n\
                          question: C?\nexpect: number\nanswer: 3\n";

    fn sheet() -> Sheet {
        let mut answers = Answers::default();
        answers.set(Asked::Before, 1, "a".to_owned());
        answers.set(Asked::After, 1, "b".to_owned());
        answers.set(Asked::Step, 3, "4".to_owned());
        let lesson = parse(LESSON).unwrap();
        let own = ("17".to_owned(), Some("Ada".to_owned()));
        Sheet::new(&lesson, BTreeMap::new(), None, own, &answers)
    }

    #[test]
    fn every_question_is_on_the_sheet_answered_or_not() {
        let found = sheet();
        let rows = found.answers.iter().map(|it| (it.asked, it.number, it.is_right));
        let expected = [
            (Asked::Before, 1, Some(false)),
            (Asked::Step, 1, None),
            (Asked::Step, 3, Some(false)),
            (Asked::After, 1, Some(true)),
        ];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
        assert_eq!(found.score, SheetScore { before: 0, after: 1, of: 1 });
    }

    #[test]
    fn a_sheet_is_read_as_it_was_written() {
        let found = sheet();
        assert_eq!(Sheet::from_json(found.to_json().as_bytes()).unwrap(), found);
    }

    #[test]
    fn other_files_are_refused_with_what_they_are() {
        let refused = |bytes: &[u8]| Sheet::from_json(bytes).unwrap_err().to_string();
        assert!(refused(b"{").starts_with("not an answer sheet: "));
        let old = refused(br#"{"format": "boomerang-answers", "version": 1}"#);
        assert!(old.starts_with("format \"boomerang-answers\", version 1; expected"), "{old}");
        let large = refused(&vec![b' '; MOST_BYTES as usize + 1]);
        assert!(large.starts_with("262145 bytes; expected at most"), "{large}");
        let nested = refused("[".repeat(100_000).as_bytes());
        assert!(nested.starts_with("not an answer sheet: "), "{nested}");
    }

    #[test]
    fn an_empty_answer_is_none() {
        let mut answers = Answers::default();
        answers.set(Asked::Step, 1, "x".to_owned());
        answers.set(Asked::Step, 1, " ".to_owned());
        assert_eq!(answers, Answers::default());
    }
}
