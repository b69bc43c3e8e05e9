//! Sheets that belong together, and those that do not.

use super::*;
use crate::sheet::Answers;
use crate::{Asked, parse};

const ENGLISH: &str = "# Sizes\n\n## Guess\nasked: before and after\nquestion: Trained?\n\
                       expect: yes | no\nanswer: no\nquestion: How many?\nexpect: number\n\
                       answer: {sizes}\n\n## One\nquestion: What do you see?\n";
const GERMAN: &str = "# Größen\n\n## Rate\nasked: before and after\nquestion: Trainiert?\n\
                      expect: ja | nein\nanswer: nein\nquestion: Wie viele?\nexpect: number\n\
                      answer: {sizes}\n\n## Eins\nquestion: Was siehst du?\n";
const OTHER: &str = "# Other\n\n## One\nquestion: A?\n";

fn lessons() -> Vec<KnownLesson> {
    let known = |(name, language, text): (&str, &str, &str)| KnownLesson {
        name: name.to_owned(),
        language: language.to_owned(),
        lesson: parse(text).unwrap(),
    };
    [("sizes", "en", ENGLISH), ("sizes", "de", GERMAN), ("other", "en", OTHER)].map(known).to_vec()
}

/// A sheet with these answers before and after.
fn sheet(text: &str, id: &str, before: [&str; 2], after: [&str; 2]) -> Sheet {
    let lesson = parse(text).unwrap();
    let facts: BTreeMap<String, String> =
        lesson.placeholders().into_iter().map(|name| (name, "6".to_owned())).collect();
    let mut answers = Answers::default();
    for (asked, all) in [(Asked::Before, before), (Asked::After, after)] {
        for (number, answer) in (1..).zip(all) {
            answers.set(asked, number, answer.to_owned());
        }
    }
    let filled = lesson.filled(&facts.clone().into_iter().collect()).unwrap();
    Sheet::new(&filled, facts, None, (id.to_owned(), None), &answers)
}

fn collected(sheets: Vec<Sheet>) -> Collected {
    let named = sheets.into_iter().zip(1..).map(|(sheet, at)| (format!("{at}.json"), sheet));
    Collected::new(named.collect(), &lessons(), None)
}

#[test]
fn sheets_in_two_languages_are_one_class() {
    let found = collected(vec![
        sheet(ENGLISH, "1", ["yes", "2"], ["no", "6"]),
        sheet(GERMAN, "2", ["ja", "6"], ["nein", "6"]),
    ]);
    assert!(found.refused.is_empty() && found.noted.is_empty(), "{found:?}");
    let class = found.class.unwrap();
    let [trained, many] = &class.changes()[..] else { panic!("two questions") };
    assert_eq!((trained.n_right_before, trained.n_right_after, trained.n_paired), (0, 2, 2));
    assert_eq!((many.n_right_before, many.n_right_after), (1, 2));
    let mean = class.mean_score().unwrap();
    assert_eq!((mean.before, mean.after), (0.5, 2.0));
    let german = class.listed().into_iter().filter(|it| it.language == "de").collect::<Vec<_>>();
    assert_eq!((&*german[0].answer, german[0].is_right), ("yes", Some(false)));
}

#[test]
fn a_question_without_both_answers_is_not_compared() {
    let found = collected(vec![
        sheet(ENGLISH, "1", ["yes", ""], ["no", "6"]),
        sheet(ENGLISH, "2", ["yes", "6"], ["no", ""]),
    ]);
    let changes = found.class.unwrap().changes();
    assert_eq!((changes[0].n_paired, changes[1].n_paired), (2, 0));
    assert_eq!(changes[1].change, None);
}

#[test]
fn an_edited_score_is_reported_and_computed_again() {
    let mut edited = sheet(ENGLISH, "1", ["yes", "2"], ["yes", "2"]);
    edited.score.after = 2;
    let found = collected(vec![edited]);
    assert_eq!(
        found.noted[0].1,
        "its score says 0 before and 2 after of 2, its answers give 0 before and 0 after of 2; \
         scored again"
    );
    assert_eq!(found.class.unwrap().mean_score().unwrap().after, 0.0);
}

#[test]
fn sheets_of_other_lessons_and_texts_are_refused() {
    let changed = ENGLISH.replace("see", "notice");
    let found = collected(vec![
        sheet(ENGLISH, "1", ["no", "6"], ["no", "6"]),
        sheet(ENGLISH, "2", ["no", "6"], ["no", "6"]),
        sheet(OTHER, "3", ["", ""], ["", ""]),
        sheet(&changed, "4", ["no", "6"], ["no", "6"]),
    ]);
    let reasons: Vec<(&str, &str)> =
        found.refused.iter().map(|(file, why)| (&**file, &why[..22])).collect();
    assert_eq!(
        reasons,
        [("4.json", "answers another text o"), ("3.json", "is of the lesson \"Othe")]
    );
    assert_eq!(found.class.unwrap().sheets.len(), 2);
}

#[test]
fn a_sheet_counts_once_and_the_fuller_one() {
    let found = collected(vec![
        sheet(ENGLISH, "1", ["no", "6"], ["", ""]),
        sheet(ENGLISH, "1", ["no", "6"], ["no", "6"]),
        sheet(ENGLISH, "1", ["no", "6"], ["no", "6"]),
        sheet(ENGLISH, "2", ["no", "6"], ["no", "6"]),
    ]);
    let refused: Vec<(&str, &str)> =
        found.refused.iter().map(|(file, why)| (&**file, &**why)).collect();
    let expected = [
        ("1.json", "is an earlier state of the sheet 2.json"),
        ("3.json", "is the same sheet as 2.json"),
    ];
    assert_eq!(refused, expected);
    assert_eq!(found.class.unwrap().sheets.len(), 2);
}

#[test]
fn a_sheet_with_other_facts_is_refused() {
    let mut edited = sheet(ENGLISH, "3", ["no", "5"], ["no", "5"]);
    edited.facts.insert("sizes".to_owned(), "5".to_owned());
    let ours = |id| sheet(ENGLISH, id, ["no", "6"], ["no", "6"]);
    let found = collected(vec![edited, ours("1"), ours("2")]);
    let (file, reason) = &found.refused[0];
    assert_eq!(file, "1.json");
    assert!(reason.contains("its \"sizes\" is \"5\", expected \"6\"; most sheets"), "{reason}");
}

#[test]
fn answers_that_nobody_asked_for_are_refused() {
    let mut strange = sheet(ENGLISH, "1", ["no", "6"], ["no", "6"]);
    strange.answers[0].number = 9;
    let mut twice = sheet(ENGLISH, "2", ["no", "6"], ["no", "6"]);
    let first = twice.answers[0].clone();
    twice.answers.push(first);
    let found = collected(vec![strange, twice]);
    let reasons: Vec<&str> = found.refused.iter().map(|(_, why)| &**why).collect();
    assert_eq!(
        reasons,
        ["before question 9 is not in the lesson", "before question 1 is answered twice"]
    );
    assert!(found.class.is_none());
}

#[test]
fn an_answer_that_is_not_a_choice_counts_as_none() {
    let found = collected(vec![sheet(ENGLISH, "1", ["maybe", "6"], ["no", "6"])]);
    assert!(found.noted[0].1.contains("\"maybe\" is not a possible answer"), "{found:?}");
    assert_eq!(found.class.unwrap().changes()[0].n_paired, 0);
}
