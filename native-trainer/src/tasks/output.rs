//! Results and samples in the files of lm-evaluation-harness, which other programs read.

use std::fs;

use anyhow::Context as _;
use boomerang_core::bundle::hex;
use sha2::{Digest as _, Sha256};

use super::definition::Definition;
use super::groups::TaskGroup;
use super::python::{self, Value};
use super::score::{Record, TaskScore};
use super::task::{Asked, Limit, Sample, Task};
use crate::files::OutputFolder;

/// What the files tell of the run beside its scores.
#[derive(Clone, Debug)]
pub struct RunContext<'a> {
    /// How the model is called.
    pub model: &'a str,
    /// Stands in the names of the files: `2026-11-27T08-00-00.000000`.
    pub time: &'a str,
    /// Seconds since 1970 at which the run began.
    pub date: f64,
    /// How long it took.
    pub seconds: f64,
    pub device: &'a str,
    pub limit: Option<Limit>,
    /// Tokens that the model saw at once.
    pub max_length: usize,
    /// Of the draw of examples.
    pub seed: u64,
}

/// The version of lm-evaluation-harness whose files these are like.
const LIKE: &str = "0.4.13";

/// Writes `results_TIME.json`, and `samples_TASK_TIME.jsonl` of each task, to a folder of the result.
///
/// # Errors
/// When the disk refuses.
pub fn write(
    out: &OutputFolder,
    folder: &str,
    scored: &[(&Task, &TaskScore)],
    groups: &[TaskGroup],
    context: &RunContext<'_>,
) -> anyhow::Result<()> {
    fs::create_dir_all(out.path().join(folder)).with_context(|| {
        format!("the folder {folder} cannot be created in {}", out.target().display())
    })?;
    let mut hashes = Value::Map(Vec::new());
    for (task, score) in scored {
        let (mut lines, mut all) = (String::new(), String::new());
        for record in &score.records {
            let sample = &task.samples[record.sample];
            let own = Hashes::new(sample);
            all += &own.0.concat();
            lines += &python::json(&line(&task.definition, sample, record, &own), None);
            lines.push('\n');
        }
        hashes.set(task.name(), hash(&all).into());
        let name = format!("{folder}/samples_{}_{}.jsonl", file_name(task.name()), context.time);
        out.write(&name, lines.as_bytes())?;
    }
    let results = results(scored, groups, context, hashes);
    let name = format!("{folder}/results_{}.json", context.time);
    out.write(&name, format!("{}\n", python::json(&results, Some(2))).as_bytes())
}

/// A task's name as a part of a file's.
fn file_name(task: &str) -> String {
    let plain = |char: char| {
        if char.is_alphanumeric() || matches!(char, '-' | '_' | '.') { char } else { '_' }
    };
    task.chars().map(plain).collect()
}

/// Of the document, the prompt and what is right.
struct Hashes([String; 3]);

impl Hashes {
    fn new(sample: &Sample) -> Self {
        let prompt = match &sample.asked {
            Asked::Choice { contexts, .. } => contexts.first().map_or("", String::as_str),
            Asked::Continuation(continuation) => &continuation.context,
            Asked::Text { text, .. } => text,
            Asked::Open { open, .. } => &open.context,
        };
        let document = python::json(&sample.document, Some(2));
        Self([hash(&document), hash(prompt), hash(&python::text(&sample.target))])
    }
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// One line of the samples.
fn line(definition: &Definition, sample: &Sample, record: &Record, hashes: &Hashes) -> Value {
    let Hashes([document, prompt, target]) = hashes;
    let names: Vec<&str> = record.values.iter().map(|(name, _)| *name).collect();
    let mut line = Value::map([
        ("doc_id", record.sample.into()),
        ("doc", sample.document.clone()),
        ("target", python::text(&sample.target).into()),
        ("arguments", arguments(definition, &sample.asked)),
        ("resps", record.answers.clone()),
        ("filtered_resps", record.filtered.clone()),
        ("filter", record.filter.as_str().into()),
        ("metrics", names.into()),
        ("doc_hash", document.as_str().into()),
        ("prompt_hash", prompt.as_str().into()),
        ("target_hash", target.as_str().into()),
    ]);
    for (name, value) in &record.values {
        line.set(name, value.clone());
    }
    line
}

/// What was asked, request by request.
fn arguments(definition: &Definition, asked: &Asked) -> Value {
    let requests: Vec<Vec<Value>> = match asked {
        Asked::Choice { .. } | Asked::Continuation(_) => asked
            .continuations()
            .into_iter()
            .map(|pair| vec![pair.context.into(), pair.text.into()])
            .collect(),
        Asked::Text { text, .. } => vec![vec![text.as_str().into()]],
        Asked::Open { open, .. } => {
            vec![vec![open.context.as_str().into(), definition.generating.recorded.clone()]]
        }
    };
    numbered("gen_args_", requests.into_iter().map(|request| numbered("arg_", request)))
}

fn numbered(prefix: &str, values: impl IntoIterator<Item = Value>) -> Value {
    let entry = |(number, value)| (format!("{prefix}{number}"), value);
    Value::Map(values.into_iter().enumerate().map(entry).collect())
}

/// The file with everything but the samples.
fn results(
    scored: &[(&Task, &TaskScore)],
    groups: &[TaskGroup],
    context: &RunContext<'_>,
    hashes: Value,
) -> Value {
    let empty = || Value::Map(Vec::new());
    let [mut results, mut grouped, mut subtasks, mut configs] = [(); 4].map(|()| empty());
    let [mut versions, mut shots, mut better, mut sizes] = [(); 4].map(|()| empty());
    for (task, score) in scored {
        let name = task.name();
        results.set(name, of_task(task, score));
        configs.set(name, config(task));
        versions.set(name, task.definition.version.clone());
        shots.set(name, task.n_shots.into());
        let mut directions = empty();
        for measure in &score.measures {
            directions.set(measure.metric, measure.higher_is_better.into());
        }
        better.set(name, directions);
        let original = ("original", task.n_documents.into());
        sizes.set(name, Value::map([original, ("effective", score.n.into())]));
    }
    let by_name: Vec<(&str, &TaskScore)> =
        scored.iter().map(|(task, score)| (task.name(), *score)).collect();
    // What is inside a group comes before it.
    for group in groups.iter().rev() {
        let name = &*group.group.name;
        let found = of_group(group, &by_name);
        results.set(name, found.clone());
        if !group.group.metrics.is_empty() {
            grouped.set(name, found);
        }
        subtasks.set(name, group.children.clone().into());
        versions.set(name, group.group.version.clone());
    }
    // As in lm-evaluation-harness, which asks a group before those inside it.
    for group in groups {
        inherit(&mut shots, &mut better, group);
    }
    let config = Value::map([
        ("model", "boomerang".into()),
        ("model_args", format!("pretrained={}", context.model).into()),
        ("batch_size", Value::None),
        ("device", context.device.into()),
        ("limit", limit(context.limit)),
        ("bootstrap_iters", Value::Int(100_000)),
        ("gen_kwargs", Value::None),
        ("fewshot_seed", Value::Int(i64::try_from(context.seed).unwrap_or(i64::MAX))),
    ]);
    let mut all = Value::map([("results", results)]);
    if !groups.is_empty() {
        all.set("groups", grouped);
    }
    let rest = [
        ("group_subtasks", subtasks),
        ("configs", configs),
        ("versions", versions),
        ("n-shot", shots),
        ("higher_is_better", better),
        ("n-samples", sizes),
        ("config", config),
        ("git_hash", Value::None),
        ("date", context.date.into()),
        ("boomerang_version", env!("CARGO_PKG_VERSION").into()),
        ("like_lm_eval_version", LIKE.into()),
        ("max_length", context.max_length.into()),
        ("task_hashes", hashes),
        ("model_source", "boomerang".into()),
        ("model_name", context.model.into()),
        ("model_name_sanitized", file_name(context.model).into()),
        ("system_instruction", Value::None),
        ("system_instruction_sha", Value::None),
        ("fewshot_as_multiturn", Value::None),
        ("chat_template", Value::None),
        ("chat_template_sha", Value::None),
        ("total_evaluation_time_seconds", python::float(context.seconds).into()),
    ];
    for (key, value) in rest {
        all.set(key, value);
    }
    all
}

fn of_task(task: &Task, score: &TaskScore) -> Value {
    let mut found = Value::map([
        ("name", task.name().into()),
        ("alias", task.definition.shown().into()),
        ("sample_len", score.n.into()),
    ]);
    for measure in &score.measures {
        put(&mut found, measure.metric, &measure.filter, measure.value, measure.stderr);
    }
    found
}

fn of_group(group: &TaskGroup, scores: &[(&str, &TaskScore)]) -> Value {
    let name = group.group.name.as_str();
    let alias = group.group.alias.as_deref().unwrap_or(name);
    let mut found = Value::map([("alias", alias.into()), ("name", name.into())]);
    if group.group.metrics.is_empty() {
        return found;
    }
    let own = scores.iter().filter(|(task, _)| group.tasks.iter().any(|name| name == task));
    found.set("sample_len", own.map(|(_, score)| score.n).sum::<usize>().into());
    let mut counts = Value::Map(Vec::new());
    for measure in group.measures(scores) {
        put(&mut found, &measure.metric, &measure.filter, measure.value, measure.stderr);
        counts.set(&format!("{},{}", measure.metric, measure.filter), measure.n.into());
    }
    found.set("sample_count", counts);
    found
}

fn put(found: &mut Value, metric: &str, filter: &str, value: f64, stderr: Option<f64>) {
    found.set(&format!("{metric},{filter}"), value.into());
    let stderr = stderr.map_or_else(|| "N/A".into(), Value::Float);
    found.set(&format!("{metric}_stderr,{filter}"), stderr);
}

/// A group has what its own tasks have alike.
fn inherit(shots: &mut Value, better: &mut Value, group: &TaskGroup) {
    let name = &group.group.name;
    let own: Vec<&Value> = group.children.iter().filter_map(|child| shots.get(child)).collect();
    if let Some(same) = own.first().filter(|first| own.iter().all(|other| other == *first)) {
        let same = (*same).clone();
        shots.set(name, same);
    }
    let mut directions = Value::Map(Vec::new());
    for child in &group.children {
        let Some(Value::Map(entries)) = better.get(child) else { continue };
        for (metric, direction) in entries {
            let is_same = directions.get(metric).is_none_or(|known| known == direction);
            directions.set(metric, if is_same { direction.clone() } else { Value::None });
        }
    }
    if directions != Value::Map(Vec::new()) {
        better.set(name, directions);
    }
}

fn limit(limit: Option<Limit>) -> Value {
    match limit {
        None => Value::None,
        Some(Limit::Count(count)) => count.into(),
        Some(Limit::Share(share)) => share.into(),
    }
}

/// The task's keys, with what they are when they are left out.
fn config(task: &Task) -> Value {
    let Definition { prompt, shots, kind, source, .. } = &task.definition;
    let mut config = Value::Map(Vec::new());
    if let Value::Map(entries) = source {
        for (key, value) in entries.iter().filter(|(key, value)| key != "tag" && !value.is_none()) {
            config.set(key, value.clone());
        }
    }
    let description = task.definition.description.as_deref().unwrap_or_default();
    config.set("description", description.into());
    config.set("target_delimiter", prompt.target_delimiter.as_str().into());
    config.set("fewshot_delimiter", shots.delimiter.as_str().into());
    config.set("num_fewshot", task.n_shots.into());
    config.set("output_type", kind.name().into());
    if let Asked::Open { .. } = task.samples[0].asked {
        config.set("generation_kwargs", task.definition.generating.recorded.clone());
    }
    config.set("repeats", Value::Int(1));
    config
}
