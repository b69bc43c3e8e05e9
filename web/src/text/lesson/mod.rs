//! Lessons: text next to the bench, step by step, with settings and questions.

mod answers;
mod parse;

pub use answers::{Answers, answer_sheet};
pub use parse::{LessonError, parse};

use crate::text::controls::Control;

/// A lesson, as its file defines it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    pub title: String,
    /// Paragraphs for the list of lessons.
    pub about: Vec<String>,
    /// At least one.
    pub steps: Vec<Step>,
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub text: String,
    pub kind: Kind,
}

/// What an answer looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    /// One of these.
    Choice(Vec<String>),
}

/// The built-in lessons, by the names in their addresses.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("sizes", include_str!("../../../lessons/sizes.md")),
    ("layers", include_str!("../../../lessons/layers.md")),
    ("chance", include_str!("../../../lessons/chance.md")),
];

/// The built-in lesson of that name.
pub fn built_in(name: &str) -> Option<Lesson> {
    let (_, text) = BUILT_IN.into_iter().find(|(own, _)| *own == name)?;
    parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::link::Link;

    #[test]
    fn the_built_in_lessons_are_valid() {
        for (name, text) in BUILT_IN {
            let lesson = parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            for step in &lesson.steps {
                let link = Link::parse(step.state.as_deref().unwrap_or_default());
                assert!(link.invalid.is_empty(), "{name}, {}: {:?}", step.title, link.invalid);
                assert!(link.others.is_empty(), "{name}, {}: {:?}", step.title, link.others);
            }
        }
    }
}
