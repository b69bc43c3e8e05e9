//! The definition of a task: the supported keys of lm-evaluation-harness's YAML, each checked once.

mod generation;
mod group;
mod keys;
mod metrics;
mod prompt;
mod yaml;

pub use generation::Generating;
pub use group::{Group, GroupMetric};
pub use metrics::{Aggregation, Ignoring, Metric, MetricEntry};
pub use prompt::{Field, Prompt, Sampler, Shots};
pub use yaml::read;
pub(super) use yaml::{glance, parse};

use super::filter::Pipeline;
use super::functions::Functions;
use super::python::Value;
use crate::error::{Result, bail, ensure, unusable};
use keys::Keys;

/// The type of a task (`output_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    MultipleChoice,
    LogLikelihood,
    Rolling,
    Generate,
}

/// A task as defined by its YAML.
#[derive(Clone, Debug)]
pub struct Definition {
    pub name: String,
    pub alias: Option<String>,
    pub tags: Vec<String>,
    pub kind: Kind,
    pub dataset: DatasetKeys,
    pub splits: Splits,
    /// The prompt of the question itself.
    pub prompt: Prompt,
    pub description: Option<String>,
    pub n_shots: Option<usize>,
    pub shots: Shots,
    pub metrics: Vec<MetricEntry>,
    pub filters: Vec<Pipeline>,
    /// For open questions.
    pub generating: Generating,
    /// Parts that lm-evaluation-harness has as Python functions.
    pub functions: Functions,
    pub version: Value,
    /// Every key, for the record.
    pub source: Value,
}

/// The dataset (`dataset_path` and related keys).
#[derive(Clone, Debug)]
pub struct DatasetKeys {
    pub path: String,
    pub name: Option<String>,
    pub options: Value,
    /// The folder of the YAML file.
    pub folder: Option<std::path::PathBuf>,
}

/// The splits of the dataset.
#[derive(Clone, Debug)]
pub struct Splits {
    pub training: Option<String>,
    pub validation: Option<String>,
    pub test: Option<String>,
}

impl Definition {
    /// Reads the keys of a YAML file.
    ///
    /// # Errors
    /// Names the key that is missing, wrong, or not implemented.
    pub fn new(
        source: Value,
        folder: Option<&std::path::Path>,
        functions: Functions,
    ) -> Result<Self> {
        let keys = Keys::new(&source, "");
        keys.refuse_others()?;
        let name = keys.text("task")?.unwrap_or_default();
        ensure!(!name.is_empty(), "the key \"task\" is missing; expected the task's name");
        let kind = match keys.text("output_type")?.as_deref() {
            Some("multiple_choice") => Kind::MultipleChoice,
            Some("loglikelihood") => Kind::LogLikelihood,
            Some("loglikelihood_rolling") => Kind::Rolling,
            None | Some("generate_until") => Kind::Generate,
            Some(other) => bail!(
                "output_type is {other:?}; expected multiple_choice, loglikelihood, \
                 loglikelihood_rolling or generate_until"
            ),
        };
        let prompt = Prompt::read(&keys)?;
        ensure!(
            kind != Kind::MultipleChoice || prompt.choices.is_some() || functions.choices.is_some(),
            "the key \"doc_to_choice\" is missing; a multiple_choice task needs it"
        );
        let delimiter = keys.text("fewshot_delimiter")?.unwrap_or_else(|| "\n\n".to_owned());
        let shots = Shots::read(&keys, &prompt, &delimiter)?;
        let path = keys.text("dataset_path")?;
        ensure!(
            path.is_some(),
            "the key \"dataset_path\" is missing; expected json, parquet, \
            a folder, or a dataset's name on the Hub"
        );
        let filters = Pipeline::read(source.get("filter_list"))?;
        let other = filters.iter().find(|filter| kind != Kind::Generate && !filter.is_plain());
        if let Some(filter) = other {
            bail!(
                "the filter {} is for generated answers, which a {} task does not have; expected take_first",
                filter.name,
                kind.name()
            );
        }
        keys.check_only("repeats", &Value::Int(1))?;
        keys.check_only("unsafe_code", &Value::Bool(false))?;
        Ok(Self {
            alias: keys.text("task_alias")?,
            tags: keys.texts("tag")?,
            dataset: DatasetKeys {
                path: path.unwrap_or_default(),
                name: keys.text("dataset_name")?,
                options: source.get("dataset_kwargs").cloned().unwrap_or_default(),
                folder: folder.map(Into::into),
            },
            splits: Splits {
                training: keys.text("training_split")?,
                validation: keys.text("validation_split")?,
                test: keys.text("test_split")?,
            },
            description: keys.text("description")?.filter(|text| !text.is_empty()),
            n_shots: keys.count("num_fewshot")?,
            metrics: metrics::read(source.get("metric_list"), kind)?,
            filters,
            generating: Generating::read(source.get("generation_kwargs"), &delimiter)?,
            version: version(&source),
            name,
            kind,
            prompt,
            shots,
            functions,
            source,
        })
    }

    /// Its alias.
    pub fn shown(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    /// The split of the questions.
    ///
    /// # Errors
    /// When the task names none.
    pub fn questions_split(&self) -> Result<&str> {
        let split = self.splits.test.as_deref().or(self.splits.validation.as_deref());
        split.ok_or_else(|| {
            unusable!(
                "the keys \"test_split\" and \"validation_split\" are missing; expected one of them"
            )
        })
    }

    /// Every template, in no order.
    pub fn templates(&self) -> Vec<&str> {
        let prompts = [&self.prompt, &self.shots.prompt];
        let fields = prompts
            .iter()
            .flat_map(|prompt| [Some(&prompt.text), Some(&prompt.target), prompt.choices.as_ref()]);
        let texts = fields.flatten().filter_map(|field| match field {
            Field::Text(text) => Some(&**text),
            Field::Fixed(_) => None,
        });
        let prefixes = prompts.iter().filter_map(|prompt| prompt.prefix.as_deref());
        texts.chain(prefixes).chain(self.description.as_deref()).collect()
    }
}

fn version(source: &Value) -> Value {
    let version = source.get("metadata").and_then(|metadata| metadata.get("version"));
    version.cloned().unwrap_or_else(|| "Yaml".into())
}

impl Kind {
    /// As lm-evaluation-harness writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MultipleChoice => "multiple_choice",
            Self::LogLikelihood => "loglikelihood",
            Self::Rolling => "loglikelihood_rolling",
            Self::Generate => "generate_until",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(yaml: &str) -> Result<Definition> {
        let head = "task: t\ndataset_path: json\nvalidation_split: train\n";
        let source = parse(&format!("{head}{yaml}"))?;
        Definition::new(source, None, Functions::default())
    }

    fn refusal(yaml: &str) -> String {
        format!("{:#}", definition(yaml).unwrap_err())
    }

    const CHOICES: &str = "output_type: multiple_choice\ndoc_to_choice: [a, b]\n";

    #[test]
    fn what_is_left_out_is_as_lm_evaluation_harness_has_it() {
        let task = definition(CHOICES).unwrap();
        assert_eq!(
            (task.prompt.target_delimiter.as_str(), task.shots.delimiter.as_str()),
            (" ", "\n\n")
        );
        let metrics: Vec<&str> = task.metrics.iter().map(|entry| entry.metric.name()).collect();
        assert_eq!(metrics, ["acc", "acc_norm"]);
        assert_eq!(task.filters.len(), 1);
        assert_eq!(definition("").unwrap().generating.until, ["\n\n"]);
    }

    #[test]
    fn examples_are_made_as_the_question_unless_it_is_said() {
        let task = definition(&format!("{CHOICES}fewshot_config:\n  doc_to_text: x\n")).unwrap();
        assert_eq!(task.shots.prompt.text, Field::Text("x".to_owned()));
        assert_eq!(task.shots.prompt.choices, task.prompt.choices);
    }

    #[test]
    fn a_key_that_is_not_implemented_is_refused_by_name() {
        assert!(
            refusal("doc_to_image: x\n").starts_with("the key \"doc_to_image\" is not implemented")
        );
        assert!(
            refusal("fewshot_config: {fewshot_indices: [1]}\n")
                .contains("fewshot_config.fewshot_indices")
        );
        assert!(refusal("repeats: 64\n").contains("repeats is 64"));
        assert!(refusal("metric_list: [{metric: bleu}]\n").contains("bleu"));
        assert!(refusal("output_type: multiple_choice\n").contains("doc_to_choice"));
        assert!(refusal("process_docs: !function utils.f\n").contains("utils.f"));
    }
}
