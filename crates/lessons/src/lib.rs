//! Lessons of the explorer: their files, their questions, answer sheets, and what a class answered.
//!
//! Text in, values out: the page shows lessons and writes answer sheets, `boomerang lessons collect`
//! reads them. Both use this parser and this scoring; neither files nor the browser are known here.

pub mod built_in;
pub mod class;
pub mod controls;
mod facts;
mod filled;
mod keys;
mod need;
mod parse;
mod placeholders;
mod question;
mod sheet;

use boomerang_core::bundle::hex;
use sha2::{Digest as _, Sha256};

use controls::Control;

pub use facts::Facts;
pub use filled::Unsupported;
pub use need::Need;
pub use parse::{LessonError, parse};
pub use question::{Expected, Kind, Question};
pub use sheet::{
    Answers, Asked, FamilyName, LessonText, MOST_BYTES as MOST_SHEET_BYTES, Sheet, SheetAnswer,
    SheetError, SheetScore,
};

/// A lesson, as its file defines it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    pub title: String,
    /// Paragraphs for the list of lessons.
    pub about: Vec<String>,
    /// `family`: the family that it is made for.
    pub family: Option<String>,
    /// `beside`: what is shown next to its card.
    pub beside: Beside,
    /// `needs`: what has to be true of the loaded family.
    pub needs: Vec<Need>,
    /// Questions that are asked before the first step and after the last one.
    pub check: Option<Check>,
    /// At least one.
    pub steps: Vec<Step>,
    /// SHA-256 of the text, with line ends as on Unix.
    pub sha256: String,
}

/// Questions that are asked at both ends of a lesson.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Check {
    pub title: String,
    pub paragraphs: Vec<String>,
    /// At least one.
    pub questions: Vec<Question>,
}

/// One card of a lesson.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    pub title: String,
    pub paragraphs: Vec<String>,
    /// The state of the page, as the query of its address; what it does not contain stays.
    pub state: Option<String>,
    pub hidden: Vec<Control>,
    pub locked: Vec<Control>,
    pub question: Option<Question>,
}

/// What a lesson is about, shown next to its card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beside {
    /// Dial, prompt and curve of the loaded family.
    #[default]
    Bench,
    /// A student that is distilled in the page.
    Teach,
    /// Speed and accuracy of the sizes on this device.
    Device,
    /// The measurements and texts of the SmolLM2-135M family, which come without its weights.
    Published,
}

impl Beside {
    pub const ALL: [Self; 4] = [Self::Bench, Self::Teach, Self::Device, Self::Published];

    /// As in `beside:`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bench => "bench",
            Self::Teach => "teach",
            Self::Device => "device",
            Self::Published => "published",
        }
    }
}

impl Lesson {
    /// A question by where it is asked and its number, from 1: of the check, or of the step.
    pub fn question(&self, asked: Asked, number: usize) -> Option<&Question> {
        let index = number.checked_sub(1)?;
        match asked {
            Asked::Before | Asked::After => self.check.as_ref()?.questions.get(index),
            Asked::Step => self.steps.get(index)?.question.as_ref(),
        }
    }

    /// Where questions are asked and their numbers, in the order in which they are asked.
    pub fn asked(&self) -> Vec<(Asked, usize)> {
        let n_questions = self.check.as_ref().map_or(0, |check| check.questions.len());
        let check = |asked| (1..=n_questions).map(move |number| (asked, number));
        let steps = self.steps.iter().zip(1..);
        let steps = steps.filter(|(step, _)| step.question.is_some());
        check(Asked::Before)
            .chain(steps.map(|(_, number)| (Asked::Step, number)))
            .chain(check(Asked::After))
            .collect()
    }

    /// The questions of the check that have an expected answer.
    pub fn n_scored(&self) -> usize {
        let questions = self.check.iter().flat_map(|check| &check.questions);
        questions.filter(|question| question.answer.is_some()).count()
    }
}

/// SHA-256 of a lesson's text; line ends do not count, which a checkout may change.
fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.replace("\r\n", "\n").trim_end()))
}
