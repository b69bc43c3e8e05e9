//! What a class answered: its sheets checked and scored, and the questions before and after.

mod accept;

use boomerang_core::compare::{McNemar, PairedChange, Resampled, paired_bootstrap};

use crate::sheet::{Answers, Asked, Sheet};
use crate::{Lesson, Question};

pub use accept::Collected;

/// Resamples of the bootstrap of the mean score, and its seed.
const N_DRAWS: usize = 2000;
const SEED: u64 = 0;

/// A lesson whose sheets can be scored.
#[derive(Clone, Debug)]
pub struct KnownLesson {
    /// The same in every language.
    pub name: String,
    pub language: String,
    pub lesson: Lesson,
}

/// A sheet that was accepted, scored by the lesson's own answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The file it is from.
    pub file: String,
    pub sheet: Sheet,
    pub language: String,
    pub answers: Answers,
}

/// One question, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub question: Question,
    /// Sheets that answer it at both ends; only these are compared.
    pub n_paired: usize,
    /// Right answers among these.
    pub n_right_before: usize,
    pub n_right_after: usize,
    /// `None` unless somebody has answered at both ends.
    pub change: Option<PairedChange>,
    /// Two-sided, exact for few changes.
    pub p_value: f64,
}

/// The number of right answers of each sheet, before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanScore {
    /// Sheets with answers at both ends; a question without an answer is not right.
    pub n_sheets: usize,
    pub before: f64,
    pub after: f64,
    /// `None` for fewer than two sheets.
    pub change: Option<Resampled>,
}

/// An answer as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    pub file: &'a str,
    pub name: &'a str,
    pub language: &'a str,
    pub asked: Asked,
    pub number: usize,
    pub question: &'a str,
    /// Choices in the words of the class's lesson; empty without an answer.
    pub answer: String,
    pub is_right: Option<bool>,
}

/// The sheets of one lesson that belong together.
#[derive(Clone, Debug)]
pub struct Class {
    /// Filled with the facts of the family.
    pub lesson: Lesson,
    pub sheets: Vec<Scored>,
    /// The lesson in the language of each sheet, filled with the same facts.
    lessons: Vec<Lesson>,
}

impl Class {
    fn changed(&self, number: usize, question: &Question) -> Change {
        let of = |scored: &Scored, lesson: &Lesson, asked| {
            let answer = scored.answers.of(asked).get(&number)?;
            lesson.question(asked, number)?.is_right(answer)
        };
        let rows = self.sheets.iter().zip(&self.lessons);
        let pairs: Vec<(bool, bool)> = rows
            .filter_map(|(scored, lesson)| {
                Some((of(scored, lesson, Asked::Before)?, of(scored, lesson, Asked::After)?))
            })
            .collect();
        let count = |both: (bool, bool)| pairs.iter().filter(|pair| **pair == both).count();
        let [both, lost, gained] = [(true, true), (true, false), (false, true)].map(count);
        Change {
            question: question.clone(),
            n_paired: pairs.len(),
            n_right_before: both + lost,
            n_right_after: both + gained,
            change: PairedChange::new(both, lost, gained, pairs.len() - both - lost - gained),
            p_value: McNemar::new(lost, gained).p_value,
        }
    }

    /// The scored questions at both ends, with the change of their right answers.
    pub fn changes(&self) -> Vec<Change> {
        let questions = self.lesson.check.iter().flat_map(|check| &check.questions);
        let scored = (1..).zip(questions).filter(|(_, question)| question.answer.is_some());
        scored.map(|(number, question)| self.changed(number, question)).collect()
    }

    /// `None` without a sheet that has answers at both ends.
    pub fn mean_score(&self) -> Option<MeanScore> {
        let rows = self.sheets.iter().zip(&self.lessons);
        let rows = rows.filter(|(scored, _)| {
            [Asked::Before, Asked::After].iter().all(|&end| !scored.answers.of(end).is_empty())
        });
        let scores: Vec<[f64; 2]> = rows
            .map(|(scored, lesson)| {
                [Asked::Before, Asked::After].map(|end| scored.answers.n_right(lesson, end) as f64)
            })
            .collect();
        let n = scores.len();
        let mean = |end: usize| scores.iter().map(|score| score[end]).sum::<f64>() / n as f64;
        let differences = scores.iter().map(|[before, after]| after - before).collect();
        (n > 0).then(|| MeanScore {
            n_sheets: n,
            before: mean(0),
            after: mean(1),
            change: (n > 1)
                .then(|| paired_bootstrap(&[differences], N_DRAWS, SEED).by_task.remove(0)),
        })
    }

    /// Questions of the steps that are scored: the question, right answers, and answers.
    pub fn steps(&self) -> Vec<(&Question, usize, usize)> {
        let scored = (1..).zip(&self.lesson.steps).filter_map(|(number, step)| {
            let question = step.question.as_ref().filter(|it| it.answer.is_some())?;
            let rows = self.sheets.iter().zip(&self.lessons);
            let right: Vec<bool> = rows
                .filter_map(|(scored, lesson)| {
                    let answer = scored.answers.step.get(&number)?;
                    lesson.question(Asked::Step, number)?.is_right(answer)
                })
                .collect();
            Some((question, right.iter().filter(|&&it| it).count(), right.len()))
        });
        scored.collect()
    }

    /// Every question of every sheet, in the order of the lesson.
    pub fn listed(&self) -> Vec<Listed<'_>> {
        let mut all = Vec::new();
        for (scored, own) in self.sheets.iter().zip(&self.lessons) {
            for (asked, number) in self.lesson.asked() {
                let ours = self.lesson.question(asked, number);
                let Some((ours, own)) = ours.zip(own.question(asked, number)) else { continue };
                let answer = scored.answers.of(asked).get(&number);
                all.push(Listed {
                    file: &scored.file,
                    name: scored.sheet.name.as_deref().unwrap_or_default(),
                    language: &scored.language,
                    asked,
                    number,
                    question: &ours.text,
                    answer: answer.map(|it| own.translated(it, ours)).unwrap_or_default(),
                    is_right: answer.and_then(|answer| own.is_right(answer)),
                });
            }
        }
        all
    }
}
