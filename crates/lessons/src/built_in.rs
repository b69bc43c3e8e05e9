//! The lessons that come with Boomerang, in the languages for which there is a folder in `web/lessons`.

use crate::{Lesson, LessonError, parse};

include!(concat!(env!("OUT_DIR"), "/texts.rs"));

/// The names of the lessons, in the order in which they are listed; also of their files.
pub const NAMES: [&str; 6] = ["sizes", "layers", "chance", "real", "distilling", "device"];

/// The folder of a language's texts below that of the English ones, with a slash unless it is the same.
pub fn folder(language: &str) -> String {
    if language == LANGUAGES[0].0 { String::new() } else { format!("{language}/") }
}

/// The first of the wanted languages (`de-AT`, `en`) that there is, else English.
pub fn language_for<'a>(wanted: impl IntoIterator<Item = &'a str>) -> &'static str {
    let code = |wanted: &str| {
        let primary = wanted.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        LANGUAGES.iter().map(|(code, _)| *code).find(|code| *code == primary)
    };
    wanted.into_iter().find_map(code).unwrap_or(LANGUAGES[0].0)
}

/// The text of a lesson.
pub fn text(language: &str, name: &str) -> Option<&'static str> {
    let found = TEXTS.iter().find(|(code, own, _)| *code == language && *own == name);
    found.map(|(_, _, text)| *text)
}

/// Every text, with its language and its name.
///
/// # Errors
/// The first text that is not a lesson.
pub fn all() -> Result<Vec<(&'static str, &'static str, Lesson)>, LessonError> {
    let read = |&(language, name, text)| Ok((language, name, parse(text)?));
    TEXTS.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_the_texts_of_its_language() {
        assert_eq!(language_for(["de-AT", "en"]), "de");
        assert_eq!(language_for(["xx", "ES"]), "es");
        assert_eq!(language_for(["xx"]), "en");
    }

    #[test]
    fn every_text_is_a_lesson_in_the_list_and_every_lesson_is_in_every_language() {
        for (language, name, _) in all().unwrap() {
            assert!(NAMES.contains(&name), "{language}/{name} is not in NAMES");
        }
        for (language, _) in LANGUAGES {
            for name in NAMES {
                assert!(text(language, name).is_some(), "{name} has no text in {language}");
            }
        }
    }

    /// What does not depend on the language.
    fn skeleton(lesson: &Lesson) -> String {
        let question = |question: &crate::Question| {
            let kind = match &question.kind {
                crate::Kind::Choice(choices) => {
                    let answer = question.answer.as_ref().map(|answer| &answer.value);
                    let right = choices.iter().position(|choice| Some(choice) == answer);
                    format!("{} choices, right is {right:?}", choices.len())
                }
                kind => format!("{kind:?}, {:?}", question.answer),
            };
            let mut placeholders = crate::placeholders::in_text(&question.text);
            placeholders.sort_unstable();
            format!("{kind}; {placeholders:?}")
        };
        let check = lesson.check.iter().flat_map(|check| &check.questions).map(question);
        let check: Vec<String> = check.collect();
        let steps = lesson.steps.iter().map(|step| {
            // Another grammar may have them in another order.
            let sorted = |text: &String| {
                let mut names: Vec<String> =
                    crate::placeholders::in_text(text).into_iter().map(str::to_owned).collect();
                names.sort();
                names
            };
            let placeholders: Vec<_> = step.paragraphs.iter().map(sorted).collect();
            let asked = step.question.as_ref().map(question);
            format!("{:?}", (&step.state, &step.hidden, &step.locked, asked, placeholders))
        });
        let steps: Vec<String> = steps.collect();
        format!(
            "{:#?}",
            (&lesson.family, lesson.beside, &lesson.needs, lesson.about.len(), check, steps)
        )
    }

    #[test]
    fn translations_have_the_same_steps_states_questions_and_answers() {
        for (language, name, lesson) in all().unwrap() {
            let english = parse(text("en", name).unwrap()).unwrap();
            assert_eq!(skeleton(&lesson), skeleton(&english), "{language}/{name}");
        }
    }

    #[test]
    fn every_lesson_asks_two_or_three_questions_at_both_ends_and_scores_them() {
        for (language, name, lesson) in all().unwrap() {
            let check = lesson.check.as_ref().unwrap_or_else(|| panic!("{language}/{name}"));
            assert!((2..=3).contains(&check.questions.len()), "{language}/{name}");
            assert!(lesson.n_scored() >= 2, "{language}/{name}");
        }
    }
}
