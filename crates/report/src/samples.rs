//! A member's answers, question by question, as lm-evaluation-harness writes them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

use boomerang_files::note_input;

use crate::error::{Context as _, Result};

/// The scores of one member: by task and metric, one number per question.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answers {
    scores: BTreeMap<(String, String), BTreeMap<String, f64>>,
}

impl Answers {
    /// Reads `samples_<task>_<time>.jsonl` of a folder, of each task the latest.
    ///
    /// # Errors
    /// Names the file and the line that is not an answer.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut latest: BTreeMap<String, (String, PathBuf)> = BTreeMap::new();
        note_input(folder);
        let entries =
            fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((task, time)) = task_and_time(&name) else { continue };
            let file = (time.to_owned(), entry.path());
            match latest.get_mut(task) {
                Some(known) if known.0 >= file.0 => {}
                Some(known) => *known = file,
                None => {
                    latest.insert(task.to_owned(), file);
                }
            }
        }
        let mut answers = Self::default();
        for (task, (_, path)) in latest {
            answers.add_file(&task, &path).with_context(|| path.display().to_string())?;
        }
        Ok(answers)
    }

    fn add_file(&mut self, task: &str, path: &Path) -> Result<()> {
        let file = File::open(path).with_context(|| "cannot be read".to_owned())?;
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let line = line.with_context(|| format!("line {}", number + 1))?;
            if !line.trim().is_empty() {
                self.add(task, &line).with_context(|| format!("line {}", number + 1))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, task: &str, line: &str) -> Result<()> {
        let answer: Value = serde_json::from_str(line).with_context(|| "not JSON".to_owned())?;
        let fields = answer
            .as_object()
            .with_context(|| "expected an object with doc_id and metrics".to_owned())?;
        let doc = fields.get("doc_id").with_context(|| "doc_id is missing".to_owned())?.to_string();
        // A task with several filters has a line for each.
        let filter = fields.get("filter").and_then(Value::as_str).filter(|name| *name != "none");
        for (name, value) in fields {
            // The question's own fields are not metrics; counts among them are recognized by their
            // names.
            if NO_METRICS.contains(&name.as_str()) {
                continue;
            }
            let score = value.as_f64().or_else(|| value.as_bool().map(f64::from));
            let Some(score) = score else { continue };
            let metric = match filter {
                None => name.clone(),
                Some(filter) => format!("{name},{filter}"),
            };
            let of_metric = self.scores.entry((task.to_owned(), metric)).or_default();
            of_metric.insert(doc.clone(), score);
        }
        Ok(())
    }

    /// For each question that both have answered, this member's score and the other's.
    pub(crate) fn pairs<'a>(
        &'a self,
        other: &'a Self,
        task: &str,
        metric: &str,
    ) -> impl Iterator<Item = (f64, f64)> + use<'a> {
        let key = (task.to_owned(), metric.to_owned());
        let (ours, theirs) = (self.scores.get(&key), other.scores.get(&key));
        let both = ours.zip(theirs);
        both.into_iter().flat_map(|(ours, theirs)| {
            ours.iter().filter_map(|(doc, score)| Some((*score, *theirs.get(doc)?)))
        })
    }
}

const NO_METRICS: [&str; 3] = ["doc_id", "target", "idx"];

/// `samples_arc_easy_2026-11-27T08-00-00.000000.jsonl`: the task and the time.
fn task_and_time(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("samples_")?.strip_suffix(".jsonl")?.rsplit_once('_')
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn answers(task: &str, lines: &[&str]) -> Answers {
        let mut answers = Answers::default();
        for line in lines {
            answers.add(task, line).unwrap();
        }
        answers
    }

    #[test]
    fn answers_are_paired_by_question() {
        let ours =
            answers("arc", &[r#"{"doc_id": 0, "acc": 1.0}"#, r#"{"doc_id": 1, "acc": 0.0}"#]);
        let theirs =
            answers("arc", &[r#"{"doc_id": 1, "acc": true}"#, r#"{"doc_id": 2, "acc": 1}"#]);
        assert_eq!(ours.pairs(&theirs, "arc", "acc").collect::<Vec<_>>(), [(0.0, 1.0)]);
        assert_eq!(ours.pairs(&theirs, "arc", "f1").count(), 0);
    }

    #[test]
    fn filters_are_kept_apart() {
        let lines = [
            r#"{"doc_id": 0, "filter": "strict-match", "exact_match": 0}"#,
            r#"{"doc_id": 0, "filter": "flexible-extract", "exact_match": 1}"#,
        ];
        let ours = answers("gsm8k", &lines);
        let found = ours.pairs(&ours, "gsm8k", "exact_match,strict-match").collect::<Vec<_>>();
        assert_eq!(found, [(0.0, 0.0)]);
    }

    #[test]
    fn the_latest_file_of_a_task_counts() {
        let folder = tempfile::tempdir().unwrap();
        for (time, acc) in [("2026-01-01T00-00-00.000000", 0), ("2026-02-01T00-00-00.000000", 1)] {
            let path = folder.path().join(format!("samples_arc_easy_{time}.jsonl"));
            fs::write(path, format!("{{\"doc_id\": 0, \"acc\": {acc}}}\n")).unwrap();
        }
        let answers = Answers::read(folder.path()).unwrap();
        assert_eq!(answers.pairs(&answers, "arc_easy", "acc").collect::<Vec<_>>(), [(1.0, 1.0)]);
    }

    #[test]
    fn a_line_that_is_not_an_answer_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples_arc_2026.jsonl");
        fs::write(path, "{\"doc_id\": 0}\n[]\n").unwrap();
        let error = Answers::read(folder.path()).unwrap_err();
        let first: &dyn Error = &error;
        let causes = std::iter::successors(Some(first), |&cause| cause.source());
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        assert!(causes[0].ends_with("samples_arc_2026.jsonl"), "{causes:?}");
        assert_eq!(causes[1..], ["line 2", "expected an object with doc_id and metrics"]);
    }
}
