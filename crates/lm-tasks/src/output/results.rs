//! The results file: the metrics of all tasks and groups, and their settings.

use super::{RunContext, file_name};
use crate::definition::Definition;
use crate::groups::TaskGroup;
use crate::python::{self, Value};
use crate::score::TaskScore;
use crate::task::{Asked, Limit, Task};

/// The version of lm-evaluation-harness whose format this is.
const LIKE: &str = "0.4.13";

/// The results file, which has everything but the samples.
pub(super) fn results(
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
    // Members of a group are listed before it.
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
    // As in lm-evaluation-harness, which lists a group before its members.
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

/// A group has the values that its tasks have in common.
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

/// The task's keys, with defaults for omitted ones.
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
