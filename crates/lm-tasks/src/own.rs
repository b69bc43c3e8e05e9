//! Boomerang's question files: lines with a task's name, a context, choices and the correct one.

use std::collections::BTreeMap;
use std::path::Path;

use boomerang_core::documents::{Json, records};
use boomerang_core::evaluate::ChoiceDoc;

use super::definition::Definition;
use super::functions::Functions;
use super::python::Value;
use super::task::{Asked, Limit, Sample, Task};
use crate::error::{Context as _, Result, TaskError, ensure};
use boomerang_files as files;

/// The tasks of some files, in the order of their names.
///
/// # Errors
/// Names the line that is not a question.
pub(super) fn read(paths: &[&Path], limit: Option<Limit>) -> Result<Vec<Task>> {
    let mut documents: BTreeMap<String, Vec<ChoiceDoc>> = BTreeMap::new();
    for path in paths {
        let lines = records(&path.display().to_string(), &files::read(path)?);
        let lines = lines?;
        if lines.is_empty() {
            return Err(TaskError::Unusable(format!(
                "{} has no questions; expected a JSON object with task, context, choices and gold \
                 on each line",
                path.display()
            )));
        }
        for (from, line) in lines {
            let question = question(line).with_context(|| from.to_string());
            let question = question?;
            documents.entry(question.task.clone()).or_default().push(question);
        }
    }
    documents.into_iter().map(|(name, documents)| task(name, documents, limit)).collect()
}

fn question(line: Json) -> Result<ChoiceDoc> {
    let document: ChoiceDoc = serde_json::from_value(serde_json::to_value(Value::from(line))?)?;
    let (n_choices, gold) = (document.choices.len(), document.gold);
    ensure!(
        n_choices >= 2 && gold < n_choices,
        "expected at least two choices and the index of one of them as gold, found {n_choices} choices and gold {gold}"
    );
    Ok(document)
}

fn task(name: String, documents: Vec<ChoiceDoc>, limit: Option<Limit>) -> Result<Task> {
    let source = Value::map([
        ("task", name.into()),
        ("dataset_path", "json".into()),
        ("test_split", "test".into()),
        ("output_type", "multiple_choice".into()),
        ("doc_to_text", "context".into()),
        ("doc_to_choice", "choices".into()),
        ("doc_to_target", "gold".into()),
        ("target_delimiter", "".into()),
        ("num_fewshot", Value::Int(0)),
    ]);
    let definition = Definition::new(source, None, Functions::default())?;
    let n_documents = documents.len();
    let n_asked = limit.map_or(n_documents, |limit| limit.of(n_documents));
    let samples = documents.into_iter().take(n_asked).map(sample).collect();
    Ok(Task { definition, samples, n_documents, n_shots: 0 })
}

fn sample(document: ChoiceDoc) -> Sample {
    let right = Value::from(document.gold);
    let value = Value::map([
        ("task", document.task.into()),
        ("context", document.context.as_str().into()),
        ("choices", document.choices.clone().into()),
        ("gold", right.clone()),
    ]);
    // A space at the start does not count in the answer's length.
    let choices = document.choices.iter().map(|choice| choice.trim_start().to_owned()).collect();
    let asked = Asked::Choice {
        contexts: vec![document.context],
        continuations: document.choices,
        choices,
        right: right.clone(),
        is_compared: false,
    };
    Sample { document: value, target: right, asked }
}

#[cfg(test)]
mod tests {
    use boomerang_core::evaluate::{Answer, Likelihood};

    use super::*;

    fn tasks(text: &str) -> Result<Vec<Task>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.jsonl");
        std::fs::write(&path, text).unwrap();
        read(&[&path], None)
    }

    #[test]
    fn questions_of_a_name_are_one_task() {
        let tasks = tasks(
            "{\"task\": \"b\", \"context\": \"x\", \"choices\": [\" y\", \" long\"], \"gold\": 1}\n\
             {\"task\": \"a\", \"context\": \"x\", \"choices\": [\"y\", \"z\"], \"gold\": 0}\n",
        )
        .unwrap();
        assert_eq!(tasks.iter().map(Task::name).collect::<Vec<_>>(), ["a", "b"]);
        let likelihood =
            |log_likelihood| Likelihood { log_likelihood, n_tokens: 1, is_greedy: false };
        let answer = Answer::Continuations(vec![likelihood(-1.0), likelihood(-3.0)]);
        let score = tasks[1].score(&[answer]).unwrap();
        assert_eq!(score.measure("acc").unwrap().0, 0.0);
        assert_eq!(score.measure("acc_norm").unwrap().0, 1.0);
        assert_eq!(tasks[1].chance(), Some(0.5));
    }

    #[test]
    fn a_file_without_questions_is_refused() {
        let error = format!("{:#}", tasks("\n \n").map(|_| ()).unwrap_err());
        assert!(error.contains("q.jsonl has no questions"), "{error}");
    }

    #[test]
    fn a_line_that_is_not_a_question_is_named() {
        let error = format!("{:#}", tasks("\n{\"task\": \"a\"}\n").unwrap_err());
        assert!(error.contains("q.jsonl, line 2"), "{error}");
        let one = "{\"task\": \"a\", \"context\": \"\", \"choices\": [\"y\"], \"gold\": 0}";
        assert!(format!("{:#}", tasks(one).unwrap_err()).contains("at least two choices"));
    }
}
