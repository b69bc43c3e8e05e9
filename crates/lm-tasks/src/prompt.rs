//! Fills a document into the columns and templates of its task.

use super::definition::{Definition, Field, Prompt};
use super::functions::Functions;
use super::python::{self, Value, is_blank, literal};
use super::template::{Templates, for_templates};
use crate::error::{Context as _, Result, bail, ensure};

/// A document, prepared for templates.
pub(super) struct Document<'a> {
    pub(super) value: &'a Value,
    jinja: minijinja::Value,
}

impl<'a> Document<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self { value, jinja: for_templates(value) }
    }
}

/// Fills in the prompts of one task.
pub(super) struct Prompter<'a> {
    functions: Functions,
    templates: &'a Templates,
    /// Names of the dataset's columns; a field of such a name is the column.
    columns: Vec<String>,
    /// Whether numbers are indices of choices.
    has_choices: bool,
}

impl<'a> Prompter<'a> {
    /// `first` is one of the documents; all have its columns.
    pub(super) fn new(definition: &Definition, templates: &'a Templates, first: &Value) -> Self {
        let columns = match first {
            Value::Map(entries) => entries.iter().map(|(name, _)| name.clone()).collect(),
            _ => Vec::new(),
        };
        let functions = definition.functions;
        let has_choices = definition.prompt.choices.is_some() || functions.choices.is_some();
        Self { functions, templates, columns, has_choices }
    }

    pub(super) fn has_choices(&self) -> bool {
        self.has_choices
    }

    /// `doc_to_text`: the question, or the index of the correct one of several contexts.
    pub(super) fn text(&self, prompt: &Prompt, document: &Document<'_>) -> Result<Value> {
        if let Some(function) = self.functions.text {
            return function(document.value);
        }
        let text = match &prompt.text {
            Field::Fixed(value) => return Ok(value.clone()),
            Field::Text(text) => text,
        };
        self.filled(text, document, |filled| {
            if self.has_choices && is_number(&filled) {
                literal_or_text(filled)
            } else {
                filled.into()
            }
        })
        .context("doc_to_text")
    }

    /// `doc_to_target`: the answer, its index among the choices, or several of these.
    pub(super) fn target(&self, prompt: &Prompt, document: &Document<'_>) -> Result<Value> {
        if let Some(function) = self.functions.target {
            return function(document.value);
        }
        let text = match &prompt.target {
            Field::Fixed(value) => return Ok(value.clone()),
            Field::Text(text) => text,
        };
        self.filled(text, document, |filled| {
            let is_index = self.has_choices && is_number(&filled);
            let is_list = filled.len() >= 2 && filled.starts_with('[') && filled.ends_with(']');
            if is_index || is_list { literal_or_text(filled) } else { filled.into() }
        })
        .context("doc_to_target")
    }

    /// `doc_to_choice`: the choices.
    pub(super) fn choices(&self, prompt: &Prompt, document: &Document<'_>) -> Result<Vec<String>> {
        let value = if let Some(function) = self.functions.choices {
            function(document.value)?
        } else {
            match prompt.choices.as_ref().context("the key \"doc_to_choice\" is missing")? {
                Field::Fixed(value) => value.clone(),
                Field::Text(text) if self.columns.contains(text) => column(text, document),
                Field::Text(text) => {
                    let filled =
                        self.templates.render(text, &document.jinja).context("doc_to_choice")?;
                    literal(&filled).context("doc_to_choice does not give a list")?
                }
            }
        };
        let Value::List(values) = value else {
            bail!("doc_to_choice gives {}; expected a list of texts", value.kind());
        };
        let text = |value: Value| match value {
            Value::Text(text) => Ok(text),
            other => bail!("a choice is {}; expected a text", other.kind()),
        };
        let choices: Vec<String> = values.into_iter().map(text).collect::<Result<_, _>>()?;
        ensure!(!choices.is_empty(), "doc_to_choice gives an empty list");
        Ok(choices)
    }

    /// `gen_prefix`: the start of the answer.
    pub(super) fn prefix(
        &self,
        prompt: &Prompt,
        document: &Document<'_>,
    ) -> Result<Option<String>> {
        let Some(prefix) = &prompt.prefix else { return Ok(None) };
        self.resolved(prefix, document).map(Some).context("gen_prefix")
    }

    /// A column's value as text, or a rendered template.
    pub(super) fn resolved(&self, text: &str, document: &Document<'_>) -> Result<String> {
        match document.value.get(text) {
            Some(value) => Ok(python::text(value)),
            None => self.templates.render(text, &document.jinja),
        }
    }

    fn filled(
        &self,
        text: &str,
        document: &Document<'_>,
        read: impl Fn(String) -> Value,
    ) -> Result<Value> {
        if self.columns.iter().any(|column| column == text) {
            return Ok(column(text, document));
        }
        Ok(read(self.templates.render(text, &document.jinja)?))
    }
}

fn column(name: &str, document: &Document<'_>) -> Value {
    document.value.get(name).cloned().unwrap_or_default()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn literal_or_text(text: String) -> Value {
    literal(&text).unwrap_or(Value::Text(text))
}

/// The two texts, with the delimiter between them if neither has whitespace there.
pub(super) fn delimited(prefix: &str, suffix: &str, delimiter: &str) -> String {
    if prefix.is_empty() || suffix.is_empty() || !needs_delimiter(prefix, suffix) {
        format!("{prefix}{suffix}")
    } else {
        format!("{prefix}{delimiter}{suffix}")
    }
}

/// Whether there is no whitespace between the two texts.
pub(super) fn needs_delimiter(prefix: &str, suffix: &str) -> bool {
    !prefix.is_empty() && !prefix.ends_with(is_blank) && !suffix.starts_with(is_blank)
}

#[cfg(test)]
mod tests {
    use super::super::definition::parse;
    use super::*;

    fn ask<T>(yaml: &str, ask: impl Fn(&Prompter<'_>, &Prompt, &Document<'_>) -> T) -> T {
        let head = "task: t\ndataset_path: json\ntest_split: test\noutput_type: multiple_choice\n";
        let source = parse(&format!("{head}{yaml}")).unwrap();
        let definition = Definition::new(source, None, Functions::default()).unwrap();
        let templates = Templates::new(definition.templates()).unwrap();
        let document = Value::map([
            ("label", Value::Int(1)),
            ("options", vec!["x", "y's"].into()),
            ("question", "Why?".into()),
        ]);
        let prompter = Prompter::new(&definition, &templates, &document);
        ask(&prompter, &definition.prompt, &Document::new(&document))
    }

    #[test]
    fn a_column_is_taken_as_it_is_and_a_template_is_read() {
        let target = |yaml: &str| {
            ask(yaml, |prompter, prompt, document| prompter.target(prompt, document).unwrap())
        };
        assert_eq!(target("doc_to_choice: options\ndoc_to_target: label\n"), Value::Int(1));
        assert_eq!(target("doc_to_choice: options\ndoc_to_target: '{{label}}'\n"), Value::Int(1));
        assert_eq!(
            target("doc_to_choice: options\ndoc_to_target: '[0, 1]'\n"),
            Value::List(vec![Value::Int(0), Value::Int(1)])
        );
        assert_eq!(target("doc_to_choice: options\ndoc_to_target: '[see]'\n"), "[see]".into());
        assert_eq!(
            target("doc_to_choice: options\ndoc_to_target: '{{question}}'\n"),
            "Why?".into()
        );
    }

    #[test]
    fn choices_are_a_column_a_list_or_a_template() {
        let choices =
            |yaml: &str| ask(yaml, |prompter, prompt, document| prompter.choices(prompt, document));
        assert_eq!(choices("doc_to_choice: options\n").unwrap(), ["x", "y's"]);
        assert_eq!(choices("doc_to_choice: '{{options}}'\n").unwrap(), ["x", "y's"]);
        assert_eq!(choices("doc_to_choice: {b: p, a: q}\n").unwrap(), ["p", "q"]);
        assert!(
            choices("doc_to_choice: [1, 2]\n").unwrap_err().to_string().contains("a whole number")
        );
        assert!(choices("doc_to_choice: '{{question}}'\n").is_err());
    }

    #[test]
    fn a_delimiter_is_added_where_no_whitespace_is() {
        assert_eq!(delimited("a", "b", "-"), "a-b");
        assert_eq!(delimited("a ", "b", "-"), "a b");
        assert_eq!(delimited("a", "\nb", "-"), "a\nb");
        assert_eq!(delimited("", "b", "-"), "b");
    }
}
