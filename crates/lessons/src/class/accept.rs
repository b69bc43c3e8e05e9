//! Which sheets belong to a class: of one lesson, one family, each once, and consistent with itself.

use std::collections::BTreeMap;

use super::{Class, KnownLesson, Scored};
use crate::facts::Facts;
use crate::sheet::{Asked, Sheet, SheetScore};

/// Sheets that belong together, and what is wrong with the others.
#[derive(Clone, Debug)]
pub struct Collected {
    /// `None` if no sheet was accepted.
    pub class: Option<Class>,
    /// Files that were not used, and why.
    pub refused: Vec<(String, String)>,
    /// Files that were used, and what is odd about them.
    pub noted: Vec<(String, String)>,
}

/// A sheet with the lesson that it answers.
struct Known<'a> {
    file: String,
    sheet: Sheet,
    lesson: &'a KnownLesson,
}

impl Collected {
    /// Sorts out the sheets, by the names of their files.
    ///
    /// The lesson, and the facts of the family unless they are given, are those of most sheets.
    pub fn new(
        sheets: Vec<(String, Sheet)>,
        lessons: &[KnownLesson],
        facts: Option<&Facts>,
    ) -> Self {
        let mut found = Self { class: None, refused: Vec::new(), noted: Vec::new() };
        let known = found.known(sheets, lessons);
        let known = found.of_one_lesson(known);
        let Some((known, facts)) = found.of_one_family(known, facts) else { return found };
        let known = found.each_once(known);
        found.class = found.scored(known, &facts);
        found
    }

    fn refuse(&mut self, file: &str, reason: impl Into<String>) {
        self.refused.push((file.to_owned(), reason.into()));
    }

    fn note(&mut self, file: &str, what: impl Into<String>) {
        self.noted.push((file.to_owned(), what.into()));
    }

    /// Those whose lesson's text is known.
    fn known<'a>(
        &mut self,
        sheets: Vec<(String, Sheet)>,
        lessons: &'a [KnownLesson],
    ) -> Vec<Known<'a>> {
        let mut all = Vec::new();
        for (file, sheet) in sheets {
            let text = &sheet.lesson;
            match lessons.iter().find(|known| known.lesson.sha256 == text.sha256) {
                Some(lesson) => all.push(Known { file, sheet, lesson }),
                None => {
                    let hash: String = text.sha256.chars().take(12).collect();
                    let reason = format!(
                        "answers another text of the lesson {:?} (SHA-256 {hash:?}…); expected a \
                         built-in lesson of this version, or one that --lesson names",
                        shortened(&text.title)
                    );
                    self.refuse(&file, reason);
                }
            }
        }
        all
    }

    fn of_one_lesson<'a>(&mut self, known: Vec<Known<'a>>) -> Vec<Known<'a>> {
        let name = most(known.iter().map(|it| it.lesson.name.clone()));
        let is_ours = |it: &Known<'a>| Some(&it.lesson.name) == name.as_ref();
        let (ours, others): (Vec<Known<'a>>, Vec<Known<'a>>) = known.into_iter().partition(is_ours);
        let title = ours.first().map_or("", |it| &it.lesson.lesson.title);
        for other in others {
            let reason = format!(
                "is of the lesson {:?}; most sheets are of {title:?}",
                other.lesson.lesson.title
            );
            self.refuse(&other.file, reason);
        }
        ours
    }

    /// Those with the same facts, and the facts.
    fn of_one_family<'a>(
        &mut self,
        known: Vec<Known<'a>>,
        given: Option<&Facts>,
    ) -> Option<(Vec<Known<'a>>, Facts)> {
        let usual = most(known.iter().map(|it| it.sheet.facts.clone()))?;
        let mut ours: Vec<Known<'a>> = Vec::new();
        for it in known {
            let used = given.map(|facts| it.lesson.lesson.used(facts));
            let expected = used.as_ref().unwrap_or(&usual);
            match difference(&it.sheet.facts, expected) {
                None => ours.push(it),
                Some(difference) => {
                    let family = it.sheet.family.as_ref().map_or("no family", |it| &it.name);
                    let whose = if given.is_some() { "--bundle has" } else { "most sheets have" };
                    let reason = format!(
                        "was answered with {:?}: {difference}; {whose} other facts",
                        shortened(family)
                    );
                    self.refuse(&it.file, reason);
                }
            }
        }
        let facts = ours.first()?.sheet.facts();
        Some((ours, facts))
    }

    /// Of sheets with the same number, the one with most answers.
    fn each_once<'a>(&mut self, known: Vec<Known<'a>>) -> Vec<Known<'a>> {
        let mut kept: Vec<Known<'a>> = Vec::new();
        for it in known {
            let Some(at) = kept.iter().position(|other| other.sheet.sheet == it.sheet.sheet) else {
                kept.push(it);
                continue;
            };
            let n_answers = |it: &Known<'_>| {
                it.sheet.answers.iter().filter(|answer| answer.answer.is_some()).count()
            };
            let (file, other) = (it.file.clone(), kept[at].file.clone());
            if it.sheet.answers == kept[at].sheet.answers {
                self.refuse(&file, format!("is the same sheet as {other}"));
            } else if n_answers(&it) >= n_answers(&kept[at]) {
                self.refuse(&other, format!("is an earlier state of the sheet {file}"));
                kept[at] = it;
            } else {
                self.refuse(&file, format!("is an earlier state of the sheet {other}"));
            }
        }
        kept
    }

    /// The sheets whose answers the lesson asks for, scored.
    fn scored(&mut self, known: Vec<Known<'_>>, facts: &Facts) -> Option<Class> {
        let (mut sheets, mut lessons) = (Vec::new(), Vec::new());
        for Known { file, sheet, lesson: known } in known {
            let lesson = match known.lesson.filled(facts) {
                Ok(lesson) => lesson,
                Err(unsupported) => {
                    self.refuse(
                        &file,
                        format!("its family does not fit the lesson: {unsupported}"),
                    );
                    continue;
                }
            };
            let mut seen = Vec::new();
            let mut problem = None;
            for answer in &sheet.answers {
                let at = (answer.asked, answer.number);
                let name = format!("{} question {}", answer.asked.name(), answer.number);
                if lesson.question(at.0, at.1).is_none() {
                    problem = Some(format!("{name} is not in the lesson"));
                } else if seen.contains(&at) {
                    problem = Some(format!("{name} is answered twice"));
                }
                seen.push(at);
            }
            if let Some(problem) = problem {
                self.refuse(&file, problem);
                continue;
            }
            let mut answers = sheet.given();
            for (asked, number) in lesson.asked() {
                let Some(question) = lesson.question(asked, number) else { continue };
                let answer = answers.of(asked).get(&number);
                let invalid = answer.filter(|answer| !question.is_answer(answer)).cloned();
                if let Some(answer) = invalid {
                    self.note(
                        &file,
                        format!(
                            "{} question {number}: {:?} is not a possible answer, and counts as none",
                            asked.name(),
                            shortened(&answer)
                        ),
                    );
                    answers.set(asked, number, String::new());
                }
            }
            let score = SheetScore {
                before: answers.n_right(&lesson, Asked::Before),
                after: answers.n_right(&lesson, Asked::After),
                of: lesson.n_scored(),
            };
            if score != sheet.score {
                let [said, found] = [sheet.score, score]
                    .map(|it| format!("{} before and {} after of {}", it.before, it.after, it.of));
                self.note(
                    &file,
                    format!("its score says {said}, its answers give {found}; scored again"),
                );
            }
            let language = known.language.clone();
            sheets.push(Scored { file, sheet, language, answers });
            lessons.push(lesson);
        }
        let lesson = lessons.first()?.clone();
        Some(Class { lesson, sheets, lessons })
    }
}

/// The most frequent value, of equally frequent ones the first.
fn most<T: PartialEq + Clone>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: Vec<(T, usize)> = Vec::new();
    for value in values {
        match counts.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None => counts.push((value, 1)),
        }
    }
    let largest = counts.iter().map(|(_, count)| *count).max()?;
    counts.into_iter().find(|(_, count)| *count == largest).map(|(value, _)| value)
}

/// The first fact that differs.
fn difference(
    found: &BTreeMap<String, String>,
    expected: &BTreeMap<String, String>,
) -> Option<String> {
    let mut names = found.keys().chain(expected.keys());
    let name = names.find(|name| found.get(*name) != expected.get(*name))?;
    let value = |facts: &BTreeMap<String, String>| {
        facts.get(name).map_or_else(|| "missing".to_owned(), |it| format!("{:?}", shortened(it)))
    };
    let name = shortened(name);
    Some(format!("its {name:?} is {}, expected {}", value(found), value(expected)))
}

/// At most as long as a line; a sheet's texts may be of any length.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
