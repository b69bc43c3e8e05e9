//! How documents become questions, answers and few-shot examples (`doc_to_…`, `fewshot_config`).

use super::keys::Keys;
use crate::error::{Result, bail};
use crate::python::Value;

/// How a document becomes a question and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    pub text: Field,
    pub target: Field,
    pub choices: Option<Field>,
    pub target_delimiter: String,
    pub prefix: Option<String>,
}

/// A column of the dataset, a template, or a value that is the same for all documents.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// A column if there is one of this name, else a template.
    Text(String),
    Fixed(Value),
}

/// Few-shot examples.
#[derive(Clone, Debug)]
pub struct Shots {
    pub sampler: Sampler,
    pub split: Option<String>,
    pub samples: Option<Vec<Value>>,
    pub prompt: Prompt,
    pub delimiter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    Random,
    First,
}

impl Prompt {
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self> {
        Ok(Self {
            text: keys.field("doc_to_text")?.unwrap_or(Field::Text(String::new())),
            target: keys.field("doc_to_target")?.unwrap_or(Field::Text(String::new())),
            choices: keys.field("doc_to_choice")?,
            target_delimiter: keys.text("target_delimiter")?.unwrap_or_else(|| " ".to_owned()),
            prefix: keys.text("gen_prefix")?,
        })
    }
}

impl Shots {
    /// Keys that `fewshot_config` omits are those of the question itself.
    pub(super) fn read(keys: &Keys<'_>, prompt: &Prompt, delimiter: &str) -> Result<Self> {
        let split = keys.text("fewshot_split")?;
        let config = keys.source().get("fewshot_config").cloned().unwrap_or_default();
        let config = if config.is_none() { Value::Map(Vec::new()) } else { config };
        let keys = Keys::new(&config, "fewshot_config.");
        keys.refuse_others()?;
        let sampler = match keys.text("sampler")?.as_deref() {
            None | Some("default") => Sampler::Random,
            Some("first_n") => Sampler::First,
            Some(other) => {
                bail!("fewshot_config.sampler is {other:?}; expected default or first_n")
            }
        };
        let samples = match config.get("samples") {
            None | Some(Value::None) => None,
            Some(Value::List(samples)) => Some(samples.clone()),
            Some(other) => {
                bail!("fewshot_config.samples is {}; expected a list of documents", other.kind())
            }
        };
        Ok(Self {
            sampler,
            split: keys.text("split")?.or(split),
            samples,
            prompt: Prompt {
                text: keys.field("doc_to_text")?.unwrap_or_else(|| prompt.text.clone()),
                target: keys.field("doc_to_target")?.unwrap_or_else(|| prompt.target.clone()),
                choices: keys.field("doc_to_choice")?.or_else(|| prompt.choices.clone()),
                target_delimiter: keys
                    .text("target_delimiter")?
                    .unwrap_or_else(|| prompt.target_delimiter.clone()),
                prefix: keys.text("gen_prefix")?.or_else(|| prompt.prefix.clone()),
            },
            delimiter: keys.text("fewshot_delimiter")?.unwrap_or_else(|| delimiter.to_owned()),
        })
    }
}

impl Field {
    /// From the YAML.
    pub(super) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::None => None,
            Value::Text(text) => Some(Self::Text(text.clone())),
            // The choices of a map are its values.
            Value::Map(entries) => Some(Self::Fixed(Value::List(
                entries.iter().map(|(_, value)| value.clone()).collect(),
            ))),
            other => Some(Self::Fixed(other.clone())),
        }
    }
}
