//! Values as Python prints them: `str`, `repr` and `json.dumps`.

use std::fmt::Write as _;
use std::sync::LazyLock;

use fancy_regex::Regex;

use super::Value;

/// `str(value)`.
pub fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        _ => repr(value),
    }
}

/// `repr(value)`.
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(value, &mut out);
    out
}

fn write_repr(value: &Value, out: &mut String) {
    match value {
        Value::None => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Text(text) => quote(text, out),
        Value::List(values) => {
            out.push('[');
            for (number, value) in values.iter().enumerate() {
                out.push_str(if number == 0 { "" } else { ", " });
                write_repr(value, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (number, (key, value)) in entries.iter().enumerate() {
                out.push_str(if number == 0 { "" } else { ", " });
                quote(key, out);
                out.push_str(": ");
                write_repr(value, out);
            }
            out.push('}');
        }
    }
}

/// `repr(float)`: the shortest digits that round-trip, with an exponent only for large and small
/// numbers.
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let plain = number.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// In single quotes, unless the text contains these and no double ones.
fn quote(text: &str, out: &mut String) {
    static UNPRINTABLE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^[\p{C}\p{Z}]$").ok());
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if char == quote => out.extend(['\\', char]),
            ' '..='~' => out.push(char),
            _ => {
                let is_unprintable = UNPRINTABLE.as_ref().is_some_and(|pattern| {
                    pattern.is_match(char.encode_utf8(&mut [0; 4])).unwrap_or(false)
                });
                let code = u32::from(char);
                let escaped = match code {
                    _ if !is_unprintable => char.to_string(),
                    0..=0xff => format!("\\x{code:02x}"),
                    0x100..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                };
                out.push_str(&escaped);
            }
        }
    }
    out.push(quote);
}

/// `json.dumps(value, ensure_ascii=False)`, on one line or with `indent` spaces per level.
pub fn json(value: &Value, indent: Option<usize>) -> String {
    let mut out = String::new();
    write_json(value, indent, 0, &mut out);
    out
}

fn write_json(value: &Value, indent: Option<usize>, level: usize, out: &mut String) {
    let separate = |is_first: bool, level: usize, out: &mut String| match indent {
        Some(width) => {
            out.push_str(if is_first { "\n" } else { ",\n" });
            out.extend(std::iter::repeat_n(' ', width * level));
        }
        None => out.push_str(if is_first { "" } else { ", " }),
    };
    let close = |is_empty: bool, bracket: char, out: &mut String| {
        if let (Some(width), false) = (indent, is_empty) {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', width * level));
        }
        out.push(bracket);
    };
    match value {
        Value::None => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) if number.is_nan() => out.push_str("NaN"),
        Value::Float(number) if number.is_infinite() => {
            out.push_str(if *number > 0.0 { "Infinity" } else { "-Infinity" });
        }
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Text(text) => write_json_text(text, out),
        Value::List(values) => {
            out.push('[');
            for (number, value) in values.iter().enumerate() {
                separate(number == 0, level + 1, out);
                write_json(value, indent, level + 1, out);
            }
            close(values.is_empty(), ']', out);
        }
        Value::Map(entries) => {
            out.push('{');
            for (number, (key, value)) in entries.iter().enumerate() {
                separate(number == 0, level + 1, out);
                write_json_text(key, out);
                out.push_str(": ");
                write_json(value, indent, level + 1, out);
            }
            close(entries.is_empty(), '}', out);
        }
    }
}

fn write_json_text(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_python_quotes_them() {
        let quoted = |text: &str| repr(&text.into());
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("it's \"so\""), "'it\\'s \"so\"'");
        assert_eq!(quoted("a\\\n\té\u{a0}\u{200b}😀\0"), "'a\\\\\\n\\té\\xa0\\u200b😀\\x00'");
    }

    #[test]
    fn numbers_are_printed_as_python_prints_them() {
        let printed: Vec<String> =
            [1.0, -0.5, 1e16, 123456789012345680.0, 1e-5, 0.0001, 1.5e300, -2.25e-7]
                .map(float)
                .into();
        assert_eq!(
            printed,
            [
                "1.0",
                "-0.5",
                "1e+16",
                "1.2345678901234568e+17",
                "1e-05",
                "0.0001",
                "1.5e+300",
                "-2.25e-07"
            ]
        );
    }

    #[test]
    fn a_list_of_mixed_values_is_a_literal() {
        let list = Value::List(vec![Value::None, true.into(), Value::Int(3), "a".into()]);
        assert_eq!(text(&list), "[None, True, 3, 'a']");
    }

    #[test]
    fn json_is_indented_as_python_indents_it() {
        let value = Value::map([
            ("a", vec![Value::Int(1), Value::Map(Vec::new())].into()),
            ("é", Value::List(Vec::new())),
        ]);
        assert_eq!(json(&value, Some(2)), "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"é\": []\n}");
        assert_eq!(json(&value, None), "{\"a\": [1, {}], \"é\": []}");
    }
}
