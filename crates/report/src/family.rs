//! The folder of an evaluation: `family.json`, or `curve.json` of older ones.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use boomerang_core::curve::{CurvePoint, SizeCurve};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{Context as _, ReportError, Result};
use crate::lines::{Line, Measured, Member, Task, Tasks};
use boomerang_files as files;

/// The output of an evaluation.
#[derive(Clone, Debug)]
pub(crate) struct Evaluation {
    pub lines: Vec<Line>,
    pub tasks: Tasks,
    /// Provenance: names and values.
    pub manifest: Vec<(String, String)>,
}

const FAMILY: &str = "family.json";
const CURVE: &str = "curve.json";
const RUN: &str = "run.json";

/// The supported version of `family.json`.
const VERSION: u64 = 1;

#[derive(Deserialize)]
struct FamilyFile {
    #[serde(default)]
    tasks: BTreeMap<String, TaskFile>,
    members: Vec<MemberFile>,
}

#[derive(Deserialize)]
struct TaskFile {
    n: Option<u64>,
    chance: Option<f64>,
    #[serde(default)]
    higher_is_better: BTreeMap<String, bool>,
}

#[derive(Deserialize)]
struct MemberFile {
    name: String,
    series: String,
    #[serde(default)]
    seed: u64,
    order: Option<String>,
    n_patched: Option<u64>,
    n_layers: Option<u64>,
    n_params: Option<u64>,
    size_bytes: Option<u64>,
    seconds: Option<f64>,
    folder: Option<PathBuf>,
    #[serde(default)]
    results: BTreeMap<String, Map<String, Value>>,
}

#[derive(Deserialize)]
struct CurveFile {
    curve: SizeCurve,
}

/// Reads the folder that `boomerang eval` wrote.
///
/// # Errors
/// Names the file that is missing or invalid.
pub(crate) fn read_evaluation(folder: &Path) -> Result<Evaluation> {
    let (family, curve) = (folder.join(FAMILY), folder.join(CURVE));
    let mut evaluation = if family.exists() {
        let text = files::read_text(&family)?;
        of_family(folder, &text).with_context(|| family.display().to_string())
    } else if curve.exists() {
        let text = files::read_text(&curve)?;
        let file = serde_json::from_str::<CurveFile>(&text);
        let file =
            file.with_context(|| "expected the curve that `boomerang eval` writes".to_owned());
        file.map(|file| of_curve(&file.curve)).with_context(|| curve.display().to_string())
    } else {
        Err(ReportError::Unusable(format!(
            "{} has neither {FAMILY} nor {CURVE}; expected an output folder of `boomerang eval`",
            folder.display()
        )))
    }?;
    let run = folder.join(RUN);
    if run.exists() {
        let value: Value = serde_json::from_str(&files::read_text(&run)?)
            .with_context(|| run.display().to_string())?;
        evaluation.manifest.extend(flat("run", &value));
    }
    evaluation.manifest.insert(0, ("evaluation".to_owned(), folder.display().to_string()));
    Ok(evaluation)
}

fn of_family(folder: &Path, text: &str) -> Result<Evaluation> {
    let value: Value = serde_json::from_str(text).with_context(|| "not JSON".to_owned())?;
    let version = value.get("version").and_then(Value::as_u64);
    if version != Some(VERSION) {
        let found = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        return Err(ReportError::Unusable(format!(
            "the file has version {found}; expected {VERSION}"
        )));
    }
    let file: FamilyFile = serde_json::from_value(value.clone())
        .with_context(|| "expected the family that `boomerang eval` writes".to_owned())?;
    let mut manifest = Vec::new();
    let shown =
        ["date", "boomerang", "command", "device", "teacher", "student", "order", "kept", "engine"];
    for key in shown {
        if let Some(value) = value.get(key) {
            manifest.extend(flat(key, value));
        }
    }
    let tasks = file.tasks.into_iter().map(|(name, task)| {
        let TaskFile { n, chance, higher_is_better } = task;
        (name, Task { n_questions: n, chance, higher_is_better })
    });
    let tasks: Tasks = tasks.collect();
    let mut lines: Vec<Line> = Vec::new();
    let mut orders: Vec<Option<String>> = Vec::new();
    for member in file.members {
        let (series, order) = (member.series.clone(), member.order.clone());
        let index = lines
            .iter()
            .zip(&orders)
            .position(|(line, other)| line.series == series && *other == order);
        let index = index.unwrap_or_else(|| {
            lines.push(Line { name: words_for(&series), series, members: Vec::new() });
            orders.push(order);
            lines.len() - 1
        });
        lines[index].members.push(to_member(folder, member)?);
    }
    // The order is named only where a series has several.
    for index in 0..lines.len() {
        let n_same = lines.iter().filter(|line| line.series == lines[index].series).count();
        if let (true, Some(order)) = (n_same > 1, &orders[index]) {
            lines[index].name = format!("{}, order {order}", words_for(&lines[index].series));
        }
    }
    Ok(Evaluation { lines, tasks, manifest })
}

fn to_member(folder: &Path, member: MemberFile) -> Result<Member> {
    let samples = match member.folder {
        None => None,
        // The folder is named in the file, and must not lead out of the evaluation.
        Some(below) if below.components().all(|part| matches!(part, Component::Normal(_))) => {
            Some(folder.join(below)).filter(|path| path.is_dir())
        }
        Some(below) => {
            return Err(ReportError::Unusable(format!(
                "the folder {:?} of member {:?} is outside of the evaluation's",
                below.display().to_string(),
                member.name
            )));
        }
    };
    let results = member.results.into_iter().map(|(task, scores)| (task, to_scores(&scores)));
    Ok(Member {
        name: member.name,
        seed: member.seed,
        n_layers: member.n_layers,
        n_patched: member.n_patched,
        n_params: member.n_params,
        size_bytes: member.size_bytes,
        seconds: member.seconds,
        results: results.collect(),
        samples,
    })
}

/// `acc` and `acc_stderr` as one score; values that are not numbers are ignored.
pub(crate) fn to_scores(scores: &Map<String, Value>) -> BTreeMap<String, Measured> {
    let stderr_of = |name: &str| {
        let (metric, filter) = name.split_once(',').map_or((name, None), |(a, b)| (a, Some(b)));
        let name = match filter {
            None => format!("{metric}_stderr"),
            Some(filter) => format!("{metric}_stderr,{filter}"),
        };
        scores.get(&name).and_then(Value::as_f64)
    };
    let is_stderr =
        |name: &str| name.split(',').next().is_some_and(|metric| metric.ends_with("_stderr"));
    scores
        .iter()
        .filter(|(name, _)| !is_stderr(name))
        .filter_map(|(name, value)| {
            let measured = Measured { value: value.as_f64()?, stderr: stderr_of(name) };
            Some((name.strip_suffix(",none").unwrap_or(name).to_owned(), measured))
        })
        .collect()
}

fn of_curve(curve: &SizeCurve) -> Evaluation {
    let mut tasks = Tasks::new();
    let mut lines: Vec<Line> = Vec::new();
    for point in &curve.points {
        let series = point.series.name();
        let member = point_to_member(point, &mut tasks);
        match lines.iter_mut().find(|line| line.series == series) {
            Some(line) => line.members.push(member),
            None => lines.push(Line {
                name: words_for(series),
                series: series.to_owned(),
                members: vec![member],
            }),
        }
    }
    let order = curve.points.first().map(|point| ("order".to_owned(), point.order.clone()));
    Evaluation { lines, tasks, manifest: order.into_iter().collect() }
}

fn point_to_member(point: &CurvePoint, tasks: &mut Tasks) -> Member {
    let mut results = BTreeMap::new();
    let mut add =
        |task: &str, n: usize, chance: Option<f64>, scores: &[(&str, f64, Option<f64>, bool)]| {
            let info = tasks.entry(task.to_owned()).or_default();
            info.n_questions = Some(n as u64);
            info.chance = chance;
            let of_task: &mut BTreeMap<String, Measured> =
                results.entry(task.to_owned()).or_default();
            for &(name, value, stderr, higher) in scores {
                info.higher_is_better.insert(name.to_owned(), higher);
                // Unknown for a single question or text.
                let stderr = stderr.filter(|stderr| stderr.is_finite());
                of_task.insert(name.to_owned(), Measured { value, stderr });
            }
        };
    for (name, task) in &point.score.tasks {
        let acc = ("acc", task.acc, Some(task.acc_stderr), true);
        let acc_norm = ("acc_norm", task.acc_norm, Some(task.acc_norm_stderr), true);
        add(name, task.n_questions, Some(task.chance), &[acc, acc_norm]);
    }
    if let Some(found) = point.score.perplexity {
        let nats = ("nats_per_token", found.nats_per_token, Some(found.nats_stderr), false);
        let bits = found.bits_per_byte.map(|bits| ("bits_per_byte", bits, None, false));
        let scores: Vec<_> = [nats].into_iter().chain(bits).collect();
        add("texts", found.n_tokens, None, &scores);
    }
    Member {
        name: format!("{}-{:02}", point.series.name(), point.n_layers),
        seed: point.seed,
        n_layers: Some(point.n_layers as u64),
        n_patched: Some(point.n_patched as u64),
        n_params: Some(point.n_params),
        size_bytes: Some(point.size_bytes),
        seconds: None,
        results,
        samples: None,
    }
}

/// The name of a series, as in the charts of an evaluation.
fn words_for(series: &str) -> String {
    match series {
        "boomerang" => "Boomerang".to_owned(),
        "naive" => "Pruned, not distilled".to_owned(),
        "random" => "Randomly initialized student".to_owned(),
        other => other.to_owned(),
    }
}

/// A value flattened, one line for each number or text.
fn flat(name: &str, value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Null => Vec::new(),
        Value::Object(fields) => {
            fields.iter().flat_map(|(key, value)| flat(&format!("{name} {key}"), value)).collect()
        }
        Value::Array(items) => {
            let words = items.iter().map(plain).collect::<Vec<_>>().join(" ");
            vec![(name.to_owned(), words)]
        }
        other => vec![(name.to_owned(), plain(other))],
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn family(members: Value) -> Result<Evaluation> {
        let text = json!({"version": 1, "command": ["boomerang", "eval"], "members": members});
        of_family(Path::new("eval"), &text.to_string())
    }

    #[test]
    fn members_are_gathered_by_series_and_order() {
        let member =
            |series: &str, order: &str| json!({"name": "m", "series": series, "order": order});
        let members = json!([
            member("boomerang", "first"),
            member("boomerang", "last"),
            member("naive", "first"),
            member("boomerang", "first"),
        ]);
        let lines = family(members).unwrap().lines;
        let names: Vec<(&str, usize)> =
            lines.iter().map(|line| (line.name.as_str(), line.members.len())).collect();
        assert_eq!(
            names,
            [
                ("Boomerang, order first", 2),
                ("Boomerang, order last", 1),
                ("Pruned, not distilled", 1)
            ]
        );
    }

    #[test]
    fn a_folder_outside_the_evaluation_is_refused() {
        for outside in ["../secret", "/etc"] {
            let members = json!([{"name": "m", "series": "boomerang", "folder": outside}]);
            assert!(family(members).unwrap_err().to_string().contains("is outside of"));
        }
    }

    #[test]
    fn scores_have_their_errors_and_lose_the_filter_none() {
        let scores = json!({"acc,none": 0.5, "acc_stderr,none": 0.1, "alias": "arc", "f1": 0.2,
                            "f1_stderr": "N/A"});
        let scores = to_scores(scores.as_object().unwrap());
        assert_eq!(scores["acc"], Measured { value: 0.5, stderr: Some(0.1) });
        assert_eq!(scores["f1"], Measured { value: 0.2, stderr: None });
        assert_eq!(scores.len(), 2);
    }

    #[test]
    fn a_family_of_another_version_is_refused() {
        let error = of_family(Path::new("eval"), r#"{"version": 2, "members": []}"#).unwrap_err();
        assert_eq!(error.to_string(), "the file has version 2; expected 1");
    }
}
