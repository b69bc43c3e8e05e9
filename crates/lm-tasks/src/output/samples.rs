//! One line for each document: requests, answers and scores.

use boomerang_core::bundle::hex;
use sha2::{Digest as _, Sha256};

use crate::definition::Definition;
use crate::python::{self, Value};
use crate::score::Record;
use crate::task::{Asked, Sample};

/// Hashes of the document, the prompt and the target.
pub(super) struct Hashes(pub(super) [String; 3]);

impl Hashes {
    pub(super) fn new(sample: &Sample) -> Self {
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

pub(super) fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// One line of the samples.
pub(super) fn line(
    definition: &Definition,
    sample: &Sample,
    record: &Record,
    hashes: &Hashes,
) -> Value {
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

/// The requests of a document.
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
