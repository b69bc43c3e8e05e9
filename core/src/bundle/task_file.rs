//! The evaluation task of a bundle, for measuring its members in the page.

use serde::{Deserialize, Serialize};

use super::{BundleError, BundleFile, Manifest};
use crate::evaluate::ChoiceDoc;

/// Held-out questions and a held-out text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFile {
    /// Name of the task, for display.
    pub name: String,
    pub questions: Vec<ChoiceDoc>,
    /// A paragraph to measure perplexity on.
    pub paragraph: String,
}

impl TaskFile {
    /// # Errors
    /// [`BundleError`] if the bytes do not match the manifest, or are not a task.
    pub fn from_json(bytes: &[u8], manifest: &Manifest) -> Result<Self, BundleError> {
        let file = manifest.task.as_ref().ok_or(BundleError::NotListed { what: "task" })?;
        file.verify(bytes)?;
        Self::checked(file, bytes)
    }

    /// A task that is not in a bundle yet; `path` names it in errors.
    ///
    /// # Errors
    /// [`BundleError`] names the invalid question.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, BundleError> {
        Self::checked(&BundleFile::of(path.to_owned(), bytes), bytes)
    }

    fn checked(file: &BundleFile, bytes: &[u8]) -> Result<Self, BundleError> {
        let task: Self = file.parse(bytes)?;
        task.check().map_err(|reason| file.unfit(reason))?;
        Ok(task)
    }

    fn check(&self) -> Result<(), String> {
        for (number, question) in self.questions.iter().enumerate() {
            let (n_choices, gold) = (question.choices.len(), question.gold);
            if n_choices < 2 || gold >= n_choices {
                return Err(format!(
                    "question {number}: expected at least two choices and gold among them, found \
                     {n_choices} choices and gold {gold}"
                ));
            }
        }
        if self.questions.is_empty() {
            return Err("there are no questions".to_owned());
        }
        if self.paragraph.trim().is_empty() {
            return Err("the paragraph is empty".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(json: &str) -> String {
        match TaskFile::parse("task.json", json.as_bytes()) {
            Err(BundleError::Unfit { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    fn task(choices: &str, gold: usize, paragraph: &str) -> String {
        format!(
            r#"{{"name": "sums", "paragraph": {paragraph:?}, "questions": [
                {{"task": "sum", "context": "1 + 1 is", "choices": {choices}, "gold": {gold}}}]}}"#
        )
    }

    #[test]
    fn a_task_that_cannot_be_asked_is_refused() {
        let two = r#"[" 2", " 3"]"#;
        assert!(TaskFile::parse("task.json", task(two, 1, "1 + 1 is 2").as_bytes()).is_ok());
        assert!(reason(&task(two, 2, "1 + 1 is 2")).ends_with("found 2 choices and gold 2"));
        assert!(reason(&task(r#"[" 2"]"#, 0, "1 + 1 is 2")).ends_with("1 choices and gold 0"));
        assert_eq!(reason(&task(two, 0, " \n")), "the paragraph is empty");
        let empty = r#"{"name": "", "questions": [], "paragraph": "a"}"#;
        assert_eq!(reason(empty), "there are no questions");
    }
}
