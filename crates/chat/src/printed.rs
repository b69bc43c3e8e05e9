//! Values as Python prints them, and as its `json` module writes them.

use std::fmt::Write as _;

use minijinja::Value;
use minijinja::value::ValueKind;

/// `str(value)` of what minijinja prints in another way.
pub(super) fn special(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::None | ValueKind::Bool | ValueKind::Seq | ValueKind::Map => {
            Some(representation(value))
        }
        _ => None,
    }
}

/// `repr(value)`.
fn representation(value: &Value) -> String {
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => "None".to_owned(),
        ValueKind::Bool if value.is_true() => "True".to_owned(),
        ValueKind::Bool => "False".to_owned(),
        ValueKind::String => quoted(&value.to_string()),
        ValueKind::Seq => {
            let items: Vec<String> = items().map(|item| representation(&item)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Map => {
            let entries: Vec<String> = items()
                .map(|key| {
                    let item = value.get_item(&key).unwrap_or_default();
                    format!("{}: {}", representation(&key), representation(&item))
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        _ => value.to_string(),
    }
}

/// A string between the quotes that Python chooses.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for char in text.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            char if char == quote => {
                out.push('\\');
                out.push(char);
            }
            char => out.push(char),
        }
    }
    out.push(quote);
    out
}

/// `json.dumps(value, ensure_ascii=False, indent=indent)`.
pub(super) fn json(value: &Value, indent: Option<usize>) -> String {
    let mut out = String::new();
    write_json(value, indent, 0, &mut out);
    out
}

fn write_json(value: &Value, indent: Option<usize>, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    let comma = if indent.is_some() { "," } else { ", " };
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => {
            // Writing to a string cannot fail.
            let _ = write!(out, "{value}");
        }
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            let is_map = value.kind() == ValueKind::Map;
            let [open, close] = if is_map { ['{', '}'] } else { ['[', ']'] };
            out.push(open);
            let mut is_empty = true;
            for item in value.try_iter().into_iter().flatten() {
                if !is_empty {
                    out.push_str(comma);
                }
                is_empty = false;
                line(depth + 1, out);
                if is_map {
                    out.push_str(&escaped(&item.to_string()));
                    out.push_str(": ");
                    let item = value.get_item(&item).unwrap_or_default();
                    write_json(&item, indent, depth + 1, out);
                } else {
                    write_json(&item, indent, depth + 1, out);
                }
            }
            if !is_empty {
                line(depth, out);
            }
            out.push(close);
        }
        _ => out.push_str(&escaped(&value.to_string())),
    }
}

fn escaped(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value() -> Value {
        let entries = [
            ("name", Value::from("a\"é\n")),
            ("n", Value::from(vec![1, 2])),
            ("none", Value::from(())),
            ("empty", Value::from(Vec::<i64>::new())),
            ("is", Value::from(true)),
        ];
        Value::from_pairs(entries)
    }

    #[test]
    fn json_is_that_of_python() {
        assert_eq!(
            json(&value(), None),
            r#"{"name": "a\"é\n", "n": [1, 2], "none": null, "empty": [], "is": true}"#
        );
        assert_eq!(
            json(&Value::from_pairs([("a", Value::from(vec![1, 2]))]), Some(2)),
            "{\n  \"a\": [\n    1,\n    2\n  ]\n}"
        );
    }

    #[test]
    fn values_print_as_in_python() {
        assert_eq!(
            special(&value()).unwrap(),
            r#"{'name': 'a"é\n', 'n': [1, 2], 'none': None, 'empty': [], 'is': True}"#
        );
        assert_eq!(special(&Value::from(vec!["it's"])).unwrap(), r#"["it's"]"#);
        assert_eq!(special(&Value::from("text")), None);
    }
}
