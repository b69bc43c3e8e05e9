//! Results of other tools: `results_*.json` of lm-evaluation-harness.

use std::path::{Path, PathBuf};
use std::result;
use std::str::FromStr;

use serde_json::Value;

use crate::error::{Context as _, ReportError, Result};
use crate::family::to_scores;
use crate::lines::{IMPORT, Line, Member, Tasks};
use boomerang_files as files;

/// `NAME=FILE[:PARAMS]`: a model of another family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub name: String,
    pub file: PathBuf,
    pub n_params: Option<u64>,
}

impl FromStr for Import {
    type Err = String;

    fn from_str(text: &str) -> result::Result<Self, String> {
        let expected = "expected NAME=FILE or NAME=FILE:PARAMS, e.g. Pythia=results.json:1.4B";
        let (name, rest) = text.split_once('=').ok_or(expected)?;
        if name.is_empty() || rest.is_empty() {
            return Err(expected.to_owned());
        }
        let sized = rest.rsplit_once(':').and_then(|(file, size)| Some((file, parse_count(size)?)));
        let (file, n_params) = sized.map_or((rest, None), |(file, size)| (file, Some(size)));
        Ok(Self { name: name.to_owned(), file: file.into(), n_params })
    }
}

/// `1400000000`, `1.4B` or `350M`.
fn parse_count(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let factor = match unit.to_ascii_uppercase() {
        'B' => 1e9,
        'M' => 1e6,
        'K' => 1e3,
        _ => return text.parse().ok(),
    };
    let number: f64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    (number > 0.0 && number < 1e9).then(|| (number * factor).round() as u64)
}

/// Models of the same name as one line, sorted by size; and their tasks.
///
/// # Errors
/// Names the file that is not a result, or has no model size.
pub(crate) fn read_imports(imports: &[Import]) -> Result<(Vec<Line>, Tasks)> {
    let mut lines: Vec<Line> = Vec::new();
    let mut tasks = Tasks::new();
    for import in imports {
        let member = read_import(import, &mut tasks)?;
        match lines.iter_mut().find(|line| line.name == import.name) {
            Some(line) => line.members.push(member),
            None => lines.push(Line {
                name: import.name.clone(),
                series: IMPORT.to_owned(),
                members: vec![member],
            }),
        }
    }
    Ok((lines, tasks))
}

fn read_import(import: &Import, tasks: &mut Tasks) -> Result<Member> {
    let shown = import.file.display();
    let value = read_json(&import.file)?;
    let results = value.get("results").and_then(Value::as_object).ok_or_else(|| {
        ReportError::Unusable(format!(
            "{shown} has no \"results\"; expected the results_*.json of lm-evaluation-harness"
        ))
    })?;
    let own = value.get("config").and_then(|config| config.get("model_num_parameters"));
    let own = own.and_then(Value::as_u64).filter(|&n_params| n_params > 0);
    let n_params = import.n_params.or(own).ok_or_else(|| {
        ReportError::Unknown(format!(
            "{shown} has no model_num_parameters; add the number of parameters: --import \
             {}={shown}:1.4B",
            import.name
        ))
    })?;
    let mut member =
        Member { name: import.name.clone(), n_params: Some(n_params), ..Member::default() };
    for (task, scores) in results {
        let Some(scores) = scores.as_object().map(to_scores) else { continue };
        let info = tasks.entry(task.clone()).or_default();
        let higher = value.get("higher_is_better").and_then(|tasks| tasks.get(task));
        for metric in scores.keys() {
            let name = metric.split(',').next().unwrap_or(metric);
            let stated = higher.and_then(|metrics| metrics.get(name)).and_then(Value::as_bool);
            // Lower is better only for losses and perplexities.
            let guessed =
                !["perplexity", "bits_per_byte", "loss"].iter().any(|part| name.contains(part));
            info.higher_is_better
                .entry(metric.clone())
                .or_insert_with(|| stated.unwrap_or(guessed));
        }
        member.results.insert(task.clone(), scores);
    }
    Ok(member)
}

/// # Errors
/// Names the file that cannot be read or is not JSON.
pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let text = files::read_text(path)?;
    serde_json::from_str(&text).with_context(|| format!("{}: not JSON", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_size_may_follow_the_file() {
        let import = |text: &str| text.parse::<Import>().unwrap();
        assert_eq!(import("Pythia=r.json:1.4B").n_params, Some(1_400_000_000));
        assert_eq!(import("Pythia=r.json:350").n_params, Some(350));
        assert_eq!(import("Pythia=r.json").n_params, None);
        // A colon may belong to the path.
        assert_eq!(import("Pythia=C:r.json").file, Path::new("C:r.json"));
        assert!("r.json".parse::<Import>().is_err());
    }

    #[test]
    fn the_file_may_have_the_size() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results.json");
        let json = r#"{"results": {"arc": {"acc,none": 0.5, "acc_stderr,none": 0.1, "alias": "arc"}},
            "config": {"model_num_parameters": 7}, "higher_is_better": {"arc": {"acc": true}}}"#;
        fs::write(&file, json).unwrap();
        let import = Import { name: "other".to_owned(), file, n_params: None };
        let (lines, tasks) = read_imports(&[import.clone(), import]).unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].members[1].n_params, Some(7));
        assert!(tasks["arc"].higher_is_better["acc"]);
    }

    #[test]
    fn a_size_that_is_not_known_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results.json");
        fs::write(&file, r#"{"results": {}}"#).unwrap();
        let import = Import { name: "other".to_owned(), file, n_params: None };
        let error = read_imports(&[import]).unwrap_err();
        assert!(
            error.to_string().contains("add the number of parameters: --import other="),
            "{error}"
        );
        assert!(matches!(error, ReportError::Unknown(_)));
    }
}
