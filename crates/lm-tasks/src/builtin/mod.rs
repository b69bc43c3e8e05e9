//! The built-in tasks, and the parts of them that are functions instead of templates.

mod hellaswag;
mod mmlu;
mod race;
mod wikitext;
mod winogrande;

use std::sync::LazyLock;

use super::definition::parse;
use super::functions::Functions;
use super::python::Value;
use crate::error::{Context as _, Result, bail};

/// The keys of every task, then of every group.
pub(super) fn all() -> Result<Vec<Value>> {
    static TASKS: LazyLock<Result<Value>> = LazyLock::new(|| parse(include_str!("tasks.yaml")));
    let Ok(Value::Map(entries)) = &*TASKS else { bail!("the built-in tasks cannot be read") };
    let is_task = |name: &str| !name.starts_with('.');
    let tasks = entries.iter().filter(|(name, _)| is_task(name));
    let mut all: Vec<Value> = tasks.map(|(_, source)| source.clone()).collect();
    let template = entries.iter().find(|(name, _)| name == ".mmlu").map(|(_, source)| source);
    all.extend(mmlu::all(template.context("mmlu has no template")?));
    Ok(all)
}

/// The parts of a built-in task that are functions.
pub(super) fn functions(name: &str) -> Functions {
    let none = Functions::default();
    match name {
        "hellaswag" => Functions { process: Some(hellaswag::process), ..none },
        "race" => Functions {
            text: Some(race::text),
            target: Some(race::target),
            choices: Some(race::choices),
            ..none
        },
        "wikitext" => Functions {
            target: Some(wikitext::target),
            measured: Some(|document| wikitext::page(document).map(str::to_owned)),
            ..none
        },
        "winogrande" => Functions {
            text: Some(winogrande::text),
            target: Some(winogrande::target),
            choices: Some(winogrande::choices),
            ..none
        },
        _ => none,
    }
}

/// A required column of a built-in task.
fn column<'a>(document: &'a Value, name: &str) -> Result<&'a Value> {
    document.get(name).with_context(|| {
        format!("a document has no column {name:?}; expected the dataset's own files")
    })
}

fn text<'a>(document: &'a Value, name: &str) -> Result<&'a str> {
    let value = column(document, name)?;
    value
        .as_str()
        .with_context(|| format!("the column {name:?} is {}; expected a text", value.kind()))
}

#[cfg(test)]
mod tests {
    use super::super::definition::{Definition, Group};
    use super::*;

    #[test]
    fn every_task_is_one_that_can_be_asked() {
        let all = all().unwrap();
        let (groups, tasks): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|source| source.get("group").is_some());
        assert_eq!((tasks.len(), groups.len()), (11 + 57, 5));
        for source in tasks {
            let name = source.get("task").map(crate::python::text).unwrap();
            let task = Definition::new(source, None, functions(&name)).unwrap();
            assert_eq!(task.name, name);
            assert!(task.questions_split().is_ok(), "{name}");
        }
        for source in groups {
            Group::new(source).unwrap();
        }
    }
}
