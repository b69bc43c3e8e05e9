//! Filters that extract a result from an answer before it is scored (`filter_list`).

use super::python::{self, Pattern, Value, select};
use crate::error::{Context as _, Result, bail, ensure};

/// Steps under a name, which is appended to each metric's: `exact_match,strict-match`.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub name: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    /// The match with this index, counted from the end when negative.
    Regex {
        pattern: Pattern,
        index: i64,
        fallback: String,
    },
    Strip,
    Lower,
    Upper,
    Map {
        entries: Vec<(String, Value)>,
        default: Value,
    },
    /// Of the answers, of which there is always one.
    Same,
    /// The first answer, taken out of its list.
    First,
}

impl Pipeline {
    /// `filter_list`, or the default.
    ///
    /// # Errors
    /// Names the filter that is wrong or not implemented.
    pub(super) fn read(source: Option<&Value>) -> Result<Vec<Self>> {
        let Some(source) = source.filter(|source| !source.is_none()) else {
            return Ok(vec![Self { name: "none".to_owned(), steps: vec![Step::First] }]);
        };
        let pipelines = source.as_list().context("filter_list is not a list")?;
        ensure!(!pipelines.is_empty(), "filter_list is empty; leave it out");
        pipelines.iter().map(Self::read_one).collect()
    }

    fn read_one(source: &Value) -> Result<Self> {
        let name = source.get("name").map(python::text).context("a filter has no \"name\"")?;
        let steps = source.get("filter").and_then(Value::as_list);
        let steps =
            steps.with_context(|| format!("the filter {name} has no list under \"filter\""))?;
        let steps = steps.iter().map(Step::read).collect::<Result<Vec<_>>>();
        let steps = steps.with_context(|| format!("the filter {name}"))?;
        let first = steps.iter().position(|step| matches!(step, Step::First));
        ensure!(
            first.is_none_or(|first| first + 1 == steps.len()),
            "the filter {name} has steps after take_first, which leaves a text instead of a list; put it \
             last"
        );
        Ok(Self { name, steps })
    }

    /// Whether it changes nothing.
    pub fn is_plain(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::First | Step::Same))
    }

    /// The filtered answer; in a list of one if no step takes it out.
    ///
    /// # Errors
    /// When a step cannot be applied.
    pub fn apply(&self, answer: &str) -> Result<Value> {
        let mut value = Value::from(answer);
        let mut is_listed = true;
        for step in &self.steps {
            value = step.apply(value).with_context(|| format!("the filter {}", self.name))?;
            is_listed &= !matches!(step, Step::First);
        }
        Ok(if is_listed { Value::List(vec![value]) } else { value })
    }
}

/// lm-evaluation-harness's default, for a regex filter without an expression.
const REGEX: &str = r"#### (\-?[0-9\.\,]+)";

impl Step {
    fn read(source: &Value) -> Result<Self> {
        let Value::Map(entries) = source else {
            bail!("a step is {}; expected a map with a \"function\"", source.kind())
        };
        let name =
            source.get("function").map(python::text).context("a step has no \"function\"")?;
        let allowed: &[&str] = match &*name {
            "regex" => &["regex_pattern", "group_select", "fallback"],
            "map" => &["mapping_dict", "default_value"],
            "take_first_k" => &["k"],
            "take_first" | "remove_whitespace" | "lowercase" | "uppercase" | "majority_vote" => &[],
            _ => bail!(
                "the function {name:?} is not implemented; these are: regex, map, take_first, \
                 take_first_k, remove_whitespace, lowercase, uppercase, majority_vote"
            ),
        };
        let other = entries.iter().find(|(key, _)| key != "function" && !allowed.contains(&&**key));
        if let Some((key, _)) = other {
            bail!("the function {name} has the key {key:?}, which is not implemented");
        }
        Ok(match &*name {
            "regex" => {
                let pattern =
                    source.get("regex_pattern").map_or_else(|| REGEX.to_owned(), python::text);
                let index = match source.get("group_select") {
                    None => 0,
                    Some(index) => index.as_int().context("group_select is not a whole number")?,
                };
                let fallback = source.get("fallback").map(python::text);
                let fallback = fallback.unwrap_or_else(|| "[invalid]".to_owned());
                Self::Regex { pattern: Pattern::new(&pattern)?, index, fallback }
            }
            "map" => {
                let entries = match source.get("mapping_dict") {
                    None | Some(Value::None) => Vec::new(),
                    Some(Value::Map(entries)) => entries.clone(),
                    Some(other) => bail!("mapping_dict is {}; expected a map", other.kind()),
                };
                let default = source.get("default_value").cloned().unwrap_or_default();
                Self::Map { entries, default }
            }
            "take_first_k" => {
                let is_one = source.get("k").and_then(Value::as_int) == Some(1);
                ensure!(
                    is_one,
                    "take_first_k with k other than 1 is not implemented; expected k: 1"
                );
                Self::Same
            }
            "take_first" => Self::First,
            "remove_whitespace" => Self::Strip,
            "lowercase" => Self::Lower,
            "uppercase" => Self::Upper,
            _ => Self::Same,
        })
    }

    fn apply(&self, value: Value) -> Result<Value> {
        let text = |value: &Value| {
            let text = value.as_str().map(str::to_owned);
            text.context("a step needs a text, and the step before it left a list")
        };
        Ok(match self {
            Self::Regex { pattern, index, fallback } => {
                let found = pattern.find_all(value.as_str().unwrap_or_default())?;
                if found.is_empty() {
                    return Ok(fallback.as_str().into());
                }
                let chosen = select(&found, *index).with_context(|| {
                    format!("group_select is {index}, but the answer has {} matches", found.len())
                })?;
                python::strip(chosen.unwrap_or(fallback)).into()
            }
            Self::Strip => python::strip(&text(&value)?).into(),
            Self::Lower => text(&value)?.to_lowercase().into(),
            Self::Upper => text(&value)?.to_uppercase().into(),
            Self::Map { entries, default } => {
                let key = value.as_str();
                let found = entries.iter().find(|(name, _)| Some(&**name) == key);
                found.map_or_else(|| default.clone(), |(_, value)| value.clone())
            }
            Self::Same | Self::First => value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::definition::parse;
    use super::*;

    fn filtered(yaml: &str, answer: &str) -> Result<Value> {
        let source = parse(&format!("- name: f\n  filter:\n{yaml}"))?;
        Pipeline::read(Some(&source))?[0].apply(answer)
    }

    #[test]
    fn the_last_number_is_found() {
        let yaml = "  - function: regex\n    group_select: -1\n    regex_pattern: \
                    (-?[$0-9.,]{2,})|(-?[0-9]+)\n  - function: take_first\n";
        assert_eq!(filtered(yaml, "It is 12 or 3").unwrap(), "3".into());
        assert_eq!(filtered(yaml, "no number").unwrap(), "[invalid]".into());
    }

    #[test]
    fn an_answer_that_is_not_taken_out_stays_in_a_list() {
        let yaml = "  - function: remove_whitespace\n  - function: lowercase\n";
        assert_eq!(filtered(yaml, " Ab\n").unwrap(), vec!["ab"].into());
    }

    #[test]
    fn a_map_has_a_default_for_the_rest() {
        let yaml = "  - function: map\n    mapping_dict: {A: x}\n    default_value: y\n  \
                    - function: take_first\n";
        assert_eq!(filtered(yaml, "A").unwrap(), "x".into());
        assert_eq!(filtered(yaml, "B").unwrap(), "y".into());
    }

    #[test]
    fn what_is_not_implemented_is_named() {
        let refused = |yaml: &str| format!("{:#}", filtered(yaml, "").unwrap_err());
        assert!(refused("  - function: format_span\n").contains("format_span"));
        assert!(
            refused("  - function: take_first_k\n    k: 8\n")
                .contains("take_first_k with k other than 1")
        );
        assert!(
            refused("  - function: take_first\n  - function: lowercase\n").contains("put it last")
        );
    }
}
