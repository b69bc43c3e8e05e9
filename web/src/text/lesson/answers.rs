//! A learner's answers: saved in the browser, submitted as a file.

use std::collections::BTreeMap;

use serde_json::json;

use super::Lesson;

/// Answers by the index of their step.
pub type Answers = BTreeMap<usize, String>;

/// The answer sheet of a lesson, to be submitted.
pub fn answer_sheet(lesson: &Lesson, name: &str, answers: &Answers) -> String {
    let asked = lesson.steps.iter().enumerate().filter_map(|(number, step)| {
        let question = step.question.as_ref()?;
        Some(json!({
            "step": number + 1,
            "title": step.title,
            "question": question.text,
            "answer": answers.get(&number),
        }))
    });
    let sheet = json!({
        "format": "boomerang-answers",
        "version": 1,
        "lesson": lesson.title,
        "name": name,
        "answers": asked.collect::<Vec<_>>(),
    });
    format!("{sheet:#}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_question_is_on_the_sheet_answered_or_not() {
        let text =
            "# S\n## One\nquestion: A?\n\n## Two\nNothing to say.\n\n## Three\nquestion: B?\n";
        let lesson = super::super::parse(text).unwrap();
        let answers = Answers::from([(2, "five".to_owned())]);
        let sheet: Value = serde_json::from_str(&answer_sheet(&lesson, "Ada", &answers)).unwrap();
        let answers = sheet["answers"].as_array().unwrap();
        assert_eq!(answers.len(), 2);
        assert_eq!((&answers[0]["answer"], &answers[1]["answer"]), (&json!(null), &json!("five")));
        assert_eq!((&answers[1]["step"], &sheet["name"]), (&json!(3), &json!("Ada")));
    }
}
