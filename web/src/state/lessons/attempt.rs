//! One person's way through a lesson: the cards, the answers, and the answer sheet.

use std::collections::BTreeMap;

use boomerang_lessons::{Answers, Asked, Facts, FamilyName, Lesson, Sheet, SheetScore};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::browser::files;
use crate::browser::random::random_name;

/// What is shown at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Card {
    /// The questions at both ends, for the first time.
    Before,
    /// A step, by its index.
    Step(usize),
    /// The questions at both ends again, and the answer sheet.
    After,
}

/// What is saved in the browser.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Saved {
    answers: Answers,
    /// The random name of the sheet.
    sheet: String,
    name: String,
    /// The index of the card that is shown.
    at: usize,
    /// The last card that was shown; answers before the first step cannot be changed after it.
    furthest: usize,
    /// Whether the right answers were shown; answers cannot be changed after it.
    is_checked: bool,
}

/// One row of the answer sheet, as it is shown and printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetRow {
    pub question: String,
    /// When it was asked, and the answer; empty without one.
    pub answers: Vec<(Asked, String)>,
    /// Whether these answers are right, and the right one; `None` until they are to be shown.
    pub right: Option<(Vec<bool>, String)>,
}

/// A lesson that is open.
#[derive(Clone, Copy)]
pub struct Attempt {
    /// Filled with the facts of the family.
    pub lesson: StoredValue<Lesson>,
    facts: StoredValue<BTreeMap<String, String>>,
    family: StoredValue<Option<FamilyName>>,
    saved: RwSignal<Saved>,
    key: StoredValue<String>,
}

impl Attempt {
    /// Continues with the answers that this browser has saved; `lesson` is not filled.
    pub fn open(
        lesson: &Lesson,
        filled: Lesson,
        facts: &Facts,
        family: Option<FamilyName>,
    ) -> Self {
        let used = lesson.used(facts);
        // Answers depend on the text and on the facts in it, and on nothing else: a student that is
        // distilled in the lesson does not end it.
        let values: Vec<&str> = used.values().map(String::as_str).collect();
        let key = format!("boomerang answers: {} {}", lesson.sha256, values.join(" "));
        let saved = files::saved(&key).and_then(|text| serde_json::from_str(&text).ok());
        let attempt = Self {
            lesson: StoredValue::new(filled),
            facts: StoredValue::new(used),
            family: StoredValue::new(family),
            saved: RwSignal::new(saved.unwrap_or_else(fresh)),
            key: StoredValue::new(key),
        };
        Effect::new(move |_| {
            let text = attempt.saved.with(serde_json::to_string).unwrap_or_default();
            attempt.key.with_value(|key| files::save(key, &text));
        });
        attempt
    }

    pub fn cards(self) -> Vec<Card> {
        self.lesson.with_value(cards)
    }

    /// The current card.
    pub fn card(self) -> Card {
        let cards = self.cards();
        cards[self.at().min(cards.len() - 1)]
    }

    /// The index of the current card.
    pub fn at(self) -> usize {
        self.saved.with(|saved| saved.at)
    }

    /// Goes to a card, at most to the last.
    pub fn go(self, to: usize) {
        let to = to.min(self.cards().len() - 1);
        self.saved.update(|saved| {
            saved.at = to;
            saved.furthest = saved.furthest.max(to);
        });
    }

    /// Forgets all answers, and starts another sheet.
    pub fn start_again(self) {
        self.saved.set(fresh());
    }

    pub fn answer(self, asked: Asked, number: usize) -> String {
        self.saved.with(|saved| saved.answers.of(asked).get(&number).cloned().unwrap_or_default())
    }

    pub fn set(self, asked: Asked, number: usize, answer: String) {
        self.saved.update(|saved| saved.answers.set(asked, number, answer));
    }

    /// Whether these answers can no longer be changed.
    pub fn is_locked(self, asked: Asked) -> bool {
        self.saved.with(|saved| match asked {
            Asked::Before => saved.furthest > 0,
            Asked::Step | Asked::After => saved.is_checked,
        })
    }

    /// The random name of the sheet: another one after starting again.
    pub fn id(self) -> String {
        self.saved.with(|saved| saved.sheet.clone())
    }

    pub fn is_checked(self) -> bool {
        self.saved.with(|saved| saved.is_checked)
    }

    /// Shows the right answers.
    pub fn check(self) {
        self.saved.update(|saved| saved.is_checked = true);
    }

    pub fn name(self) -> String {
        self.saved.with(|saved| saved.name.clone())
    }

    pub fn set_name(self, name: String) {
        self.saved.update(|saved| saved.name = name);
    }

    /// The answers as a file.
    pub fn sheet(self) -> Sheet {
        self.saved.with(|saved| {
            self.lesson.with_value(|lesson| {
                let name = Some(saved.name.trim().to_owned()).filter(|name| !name.is_empty());
                let own = (saved.sheet.clone(), name);
                let (facts, family) = (self.facts.get_value(), self.family.get_value());
                Sheet::new(lesson, facts, family, own, &saved.answers)
            })
        })
    }

    pub fn score(self) -> SheetScore {
        self.sheet().score
    }

    /// The answer sheet, row by row.
    pub fn rows(self) -> Vec<SheetRow> {
        let is_checked = self.is_checked();
        self.saved
            .with(|saved| self.lesson.with_value(|lesson| rows(lesson, &saved.answers, is_checked)))
    }
}

fn fresh() -> Saved {
    Saved { sheet: random_name(), ..Saved::default() }
}

fn cards(lesson: &Lesson) -> Vec<Card> {
    let ends = lesson.check.is_some();
    let before = ends.then_some(Card::Before);
    let after = ends.then_some(Card::After);
    before.into_iter().chain((0..lesson.steps.len()).map(Card::Step)).chain(after).collect()
}

fn rows(lesson: &Lesson, answers: &Answers, is_checked: bool) -> Vec<SheetRow> {
    let row = |asked: &[Asked], number| {
        let question = lesson.question(*asked.first()?, number)?;
        let given = |&asked: &Asked| answers.of(asked).get(&number).cloned().unwrap_or_default();
        let given: Vec<String> = asked.iter().map(given).collect();
        let expected = question.answer.as_ref().filter(|_| is_checked);
        let right = expected.map(|expected| {
            let is_right = |answer: &String| question.is_right(answer).unwrap_or_default();
            (given.iter().map(is_right).collect(), expected.value.clone())
        });
        let answers = asked.iter().copied().zip(given).collect();
        Some(SheetRow { question: question.text.clone(), answers, right })
    };
    let n_questions = lesson.check.as_ref().map_or(0, |check| check.questions.len());
    let ends = (1..=n_questions).filter_map(|number| row(&[Asked::Before, Asked::After], number));
    let steps = (1..=lesson.steps.len()).filter_map(|number| row(&[Asked::Step], number));
    ends.chain(steps).collect()
}

#[cfg(test)]
mod tests {
    use boomerang_lessons::parse;

    use super::*;

    const LESSON: &str = "# S\n\n## Guess\nasked: before and after\nquestion: A?\nexpect: a | b\n\
                          answer: b\n\n## One\nquestion: B?\n\n## Two\nText.\n";

    #[test]
    fn the_questions_are_the_first_card_and_the_last() {
        let lesson = parse(LESSON).unwrap();
        assert_eq!(cards(&lesson), [Card::Before, Card::Step(0), Card::Step(1), Card::After]);
        let plain = parse("# S\n\n## One\n").unwrap();
        assert_eq!(cards(&plain), [Card::Step(0)]);
    }

    #[test]
    fn right_answers_are_on_the_sheet_once_they_are_shown() {
        let lesson = parse(LESSON).unwrap();
        let mut answers = Answers::default();
        answers.set(Asked::Before, 1, "a".to_owned());
        answers.set(Asked::After, 1, "b".to_owned());
        let hidden = rows(&lesson, &answers, false);
        assert_eq!((hidden.len(), &hidden[0].right), (2, &None));
        let shown = rows(&lesson, &answers, true);
        assert_eq!(shown[0].right, Some((vec![false, true], "b".to_owned())));
        assert_eq!((&*shown[1].question, &shown[1].right), ("B?", &None));
    }
}
