//! Typed access to the keys of a task.

use super::Field;
use crate::error::{Context as _, Result, TaskError, bail, ensure, unusable};
use crate::python::{self, Value};

/// The keys of one map, and its prefix in messages.
pub(super) struct Keys<'a> {
    source: &'a Value,
    /// `fewshot_config.` for the keys of `fewshot_config`.
    prefix: &'static str,
}

const TASK: &[&str] = &[
    "dataset_kwargs",
    "dataset_name",
    "dataset_path",
    "description",
    "doc_to_choice",
    "doc_to_target",
    "doc_to_text",
    "fewshot_config",
    "fewshot_delimiter",
    "fewshot_split",
    "filter_list",
    "gen_prefix",
    "generation_kwargs",
    "metadata",
    "metric_list",
    "num_fewshot",
    "output_type",
    "repeats",
    "tag",
    "target_delimiter",
    "task",
    "task_alias",
    "test_split",
    "training_split",
    "unsafe_code",
    "validation_split",
];

/// Keys without an effect on questions or scores.
const WITHOUT_EFFECT: &[&str] = &["doc_to_decontamination_query", "should_decontaminate"];

const SHOTS: &[&str] = &[
    "doc_to_choice",
    "doc_to_target",
    "doc_to_text",
    "fewshot_delimiter",
    "gen_prefix",
    "sampler",
    "samples",
    "split",
    "target_delimiter",
];

impl<'a> Keys<'a> {
    pub(super) fn new(source: &'a Value, prefix: &'static str) -> Self {
        Self { source, prefix }
    }

    pub(super) fn source(&self) -> &'a Value {
        self.source
    }

    /// Refuses keys that are not implemented; a key without a value is ignored.
    pub(super) fn refuse_others(&self) -> Result<()> {
        let known = if self.prefix.is_empty() { TASK } else { SHOTS };
        let Value::Map(entries) = self.source else {
            bail!("{}expected keys and values, found {}", self.prefix, self.source.kind());
        };
        for (key, value) in entries {
            let is_known = known.contains(&&**key)
                || (self.prefix.is_empty() && WITHOUT_EFFECT.contains(&&**key));
            ensure!(
                is_known || value.is_none(),
                "the key {:?} is not implemented; supported: {}",
                format!("{}{key}", self.prefix),
                known.join(", ")
            );
        }
        Ok(())
    }

    fn present(&self, key: &str) -> Option<&'a Value> {
        self.source.get(key).filter(|value| !value.is_none())
    }

    fn wrong(&self, key: &str, found: &Value, expected: &str) -> TaskError {
        unusable!("{}{key} is {}; expected {expected}", self.prefix, python::repr(found))
    }

    /// A text; numbers and booleans are converted.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        match self.present(key) {
            None => Ok(None),
            Some(found @ (Value::List(_) | Value::Map(_))) => Err(self.wrong(key, found, "a text")),
            Some(value) => Ok(Some(python::text(value))),
        }
    }

    /// A text, or several.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>> {
        match self.present(key) {
            None => Ok(Vec::new()),
            Some(Value::List(values)) => Ok(values.iter().map(python::text).collect()),
            Some(_) => Ok(self.text(key)?.into_iter().collect()),
        }
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.present(key) else { return Ok(None) };
        let count = value.as_int().and_then(|number| usize::try_from(number).ok());
        count
            .map(Some)
            .with_context(|| self.wrong(key, value, "a whole number, 0 or more").to_string())
    }

    pub(super) fn field(&self, key: &str) -> Result<Option<Field>> {
        Ok(self.present(key).and_then(Field::read))
    }

    /// A key of which only one value is implemented.
    pub(super) fn check_only(&self, key: &str, only: &Value) -> Result<()> {
        match self.present(key) {
            Some(found) if found != only => {
                let expected =
                    format!("{}, the only value that is implemented", python::repr(only));
                Err(self.wrong(key, found, &expected))
            }
            _ => Ok(()),
        }
    }
}
