//! The templates of a task, as Jinja renders them for lm-evaluation-harness.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::python::{self, Pattern, Value};
use crate::error::{Context as _, Result, TaskError, unusable};

type Jinja = minijinja::Value;

/// A task's templates, each compiled once.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
    /// Names by text.
    names: BTreeMap<String, String>,
}

/// The maximum cost of one rendering, which stops endless templates.
const FUEL: u64 = 2_000_000;

impl Templates {
    /// # Errors
    /// Names the template that cannot be read.
    pub(super) fn new<'a>(sources: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_formatter(|out, state, value| {
            if value.is_undefined() {
                return minijinja::escape_formatter(out, state, value);
            }
            out.write_str(&printed(value)).map_err(Error::from)
        });
        environment.set_unknown_method_callback(method);
        environment.add_filter("regex_replace", regex_replace);
        environment.add_filter("string", |value: &Jinja| printed(value));
        let mut templates = Self { environment, names: BTreeMap::new() };
        for source in sources {
            templates.add(source)?;
        }
        Ok(templates)
    }

    fn add(&mut self, source: &str) -> Result<()> {
        if self.names.contains_key(source) {
            return Ok(());
        }
        let name = format!("template {}", self.names.len() + 1);
        let lines = source.replace("\r\n", "\n").replace('\r', "\n");
        self.environment
            .add_template_owned(name.clone(), lines)
            .with_context(|| format!("the template {source:?} cannot be read"))?;
        self.names.insert(source.to_owned(), name);
        Ok(())
    }

    /// The template with a document's values in it.
    ///
    /// # Errors
    /// When the template uses a column that the document does not have.
    pub(super) fn render(&self, source: &str, document: &Jinja) -> Result<String> {
        let name =
            self.names.get(source).ok_or_else(|| unusable!("{source:?} is not a template"))?;
        let rendered =
            self.environment.get_template(name).and_then(|template| template.render(document));
        rendered.with_context(|| format!("the template {source:?} cannot be rendered"))
    }
}

/// A document as a value for templates.
pub(super) fn for_templates(document: &Value) -> Jinja {
    match document {
        Value::None => Jinja::from(()),
        Value::Bool(flag) => Jinja::from(*flag),
        Value::Int(number) => Jinja::from(*number),
        Value::Float(number) => Jinja::from(*number),
        Value::Text(text) => Jinja::from(text.as_str()),
        Value::List(values) => Jinja::from(values.iter().map(for_templates).collect::<Vec<_>>()),
        Value::Map(entries) => Jinja::from_pairs(
            entries.iter().map(|(key, value)| (Jinja::from(key.as_str()), for_templates(value))),
        ),
    }
}

/// `str(value)` in Python.
fn printed(value: &Jinja) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => python::text(&from_jinja(value)),
    }
}

fn from_jinja(value: &Jinja) -> Value {
    match value.kind() {
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number => match value.as_i64() {
            Some(number) if value.is_integer() => Value::Int(number),
            _ => f64::try_from(value.clone())
                .map_or_else(|_| Value::Text(value.to_string()), Value::Float),
        },
        ValueKind::String => Value::Text(value.to_string()),
        ValueKind::Seq | ValueKind::Iterable => Value::List(
            value.try_iter().into_iter().flatten().map(|item| from_jinja(&item)).collect(),
        ),
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            let entry = |key: Jinja| {
                let item = value.get_item(&key).unwrap_or_default();
                (printed(&key), from_jinja(&item))
            };
            Value::Map(keys.map(entry).collect())
        }
        _ => Value::None,
    }
}

/// Python's methods; others are minijinja's.
fn method(
    state: &mut State<'_, '_>,
    value: &Jinja,
    name: &str,
    args: &[Jinja],
) -> Result<Jinja, Error> {
    if let (ValueKind::Seq, "index") = (value.kind(), name) {
        let (wanted,): (&Jinja,) = from_args(args)?;
        let found = value.try_iter()?.position(|item| item == *wanted);
        return found.map(Jinja::from).ok_or_else(|| {
            invalid(format!("{} is not in the list {}", printed(wanted), printed(value)))
        });
    }
    let Some(text) = value.as_str() else {
        return unknown_method_callback(state, value, name, args);
    };
    match (name, args) {
        ("strip", []) => Ok(Jinja::from(python::strip(text))),
        ("lstrip", []) => Ok(Jinja::from(text.trim_start_matches(python::is_blank))),
        ("rstrip", []) => Ok(Jinja::from(text.trim_end_matches(python::is_blank))),
        ("capitalize", []) => Ok(Jinja::from(python::capitalize(text))),
        ("index", _) => {
            let (wanted,): (&str,) = from_args(args)?;
            let found = text.find(wanted).map(|index| text[..index].chars().count());
            found.map(Jinja::from).ok_or_else(|| invalid(format!("{wanted:?} is not in {text:?}")))
        }
        ("removeprefix", _) => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(Jinja::from(text.strip_prefix(prefix).unwrap_or(text)))
        }
        ("removesuffix", _) => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(Jinja::from(text.strip_suffix(suffix).unwrap_or(text)))
        }
        _ => unknown_method_callback(state, value, name, args),
    }
}

/// lm-evaluation-harness's own filter: `re.sub`.
fn regex_replace(
    text: &str,
    pattern: &str,
    replacement: &str,
    count: Option<usize>,
    named: Kwargs,
) -> Result<String, Error> {
    let count = match count {
        Some(count) => count,
        None => named.get::<Option<usize>>("count")?.unwrap_or_default(),
    };
    named.assert_all_used()?;
    let failed = |error: TaskError| invalid(format!("{error:#}"));
    Pattern::new(pattern).map_err(failed)?.replace(text, replacement, count).map_err(failed)
}

fn invalid(reason: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str) -> Result<String> {
        let document = Value::map([
            ("question", "  Why? \n".into()),
            (
                "choices",
                Value::map([
                    ("text", vec!["it's", "é\n"].into()),
                    ("label", vec!["A", "B"].into()),
                ]),
            ),
            ("key", "B".into()),
            ("n", Value::Int(3)),
            ("ratio", Value::Float(2.0)),
            ("empty", Value::List(Vec::new())),
            ("nothing", Value::None),
        ]);
        Templates::new([source])?.render(source, &for_templates(&document))
    }

    #[test]
    fn values_are_printed_as_python_prints_them() {
        let cases = [
            ("{{choices.text}}", "[\"it's\", 'é\\n']"),
            ("{{[key, n]}}", "['B', 3]"),
            ("{{ratio}} {{n}} {{nothing}} {{n == 3}}", "2.0 3 None True"),
            ("{{choices}}", "{'text': [\"it's\", 'é\\n'], 'label': ['A', 'B']}"),
        ];
        for (source, expected) in cases {
            assert_eq!(render(source).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn pythons_methods_are_there() {
        let cases = [
            ("{{question.strip()}}", "Why?"),
            ("{{choices.label.index(key)}}", "1"),
            ("{{'a#b#c'.split('#')[-1]}}", "c"),
            ("{{ 'ABCD'[n|int - 1] if n|string in '1234' else n }}", "C"),
            ("{{'a,b'|regex_replace('(a),', '\\\\1')}}", "ab"),
            ("{{key.lower().capitalize()}}{{'xay'.index('a')}}", "B1"),
            ("{{missing if missing is defined else key}}", "B"),
        ];
        for (source, expected) in cases {
            assert_eq!(render(source).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn line_breaks_and_truth_are_pythons() {
        assert_eq!(render("a\r\n{% if empty %}x{% endif %}\n").unwrap(), "a\n\n");
        assert_eq!(render("{% if nothing or '' or 0 %}x{% endif %}").unwrap(), "");
    }

    #[test]
    fn what_a_document_does_not_have_is_said() {
        let error = format!("{:#}", render("Q: {{missing}}").unwrap_err());
        assert!(error.contains("Q: {{missing}}") && error.contains("undefined"), "{error}");
        assert!(render("{{choices.label.index('Z')}}").is_err());
    }

    #[test]
    fn a_template_without_end_is_stopped() {
        let endless =
            "{% for i in range(9000) %}{% for j in range(9000) %}{{j}}{% endfor %}{% endfor %}";
        assert!(render(endless).is_err());
    }
}
