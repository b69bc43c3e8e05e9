//! Tests of the JSON parser against serde_json.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<JsonValue, Fault> {
    let mut parser = Parser::new(text, 0);
    let json = parser.value()?;
    if parser.is_at_end() { Ok(json.value) } else { parser.fault("the end") }
}

/// Converts to a serde_json value.
fn plain(value: &JsonValue) -> serde_json::Value {
    match value {
        JsonValue::Null => serde_json::Value::Null,
        JsonValue::Bool(flag) => (*flag).into(),
        JsonValue::Int(number) => (*number).into(),
        JsonValue::Float(number) => (*number).into(),
        JsonValue::Text(text) => text.clone().into(),
        JsonValue::List(items) => items.iter().map(|item| plain(&item.value)).collect(),
        JsonValue::Map(entries) => {
            entries.iter().map(|(key, item)| (key.clone(), plain(&item.value))).collect()
        }
    }
}

#[test]
fn numbers_that_python_writes_and_json_lacks_are_read() {
    let found = parse("[NaN, Infinity, -Infinity, -0, 1e400, 9223372036854775808]").unwrap();
    let JsonValue::List(items) = found else { panic!("a list") };
    assert!(matches!(items[0].value, JsonValue::Float(number) if number.is_nan()));
    let rest: Vec<&JsonValue> = items[1..].iter().map(|item| &item.value).collect();
    let expected = [
        JsonValue::Float(f64::INFINITY),
        JsonValue::Float(f64::NEG_INFINITY),
        JsonValue::Int(0),
        JsonValue::Float(f64::INFINITY),
        JsonValue::Float(9_223_372_036_854_775_808.0),
    ];
    assert_eq!(rest, expected.iter().collect::<Vec<_>>());
}

#[test]
fn a_surrogate_without_its_other_half_is_the_replacement_character() {
    let text = r#""\ud83d\ude42 \ud800 \udc00\u0041 \ud800\u0042""#;
    let mut parser = Parser::new(text, 0);
    let expected = "🙂 \u{fffd} \u{fffd}A \u{fffd}B".to_owned();
    assert_eq!(parser.value().unwrap().value, JsonValue::Text(expected));
    assert_eq!(parser.n_replaced, 3);
}

#[test]
fn what_is_not_json_is_refused_where_it_stops_being_json() {
    let wrong = [
        ("", 0),
        ("{\"a\" 1}", 5),
        ("{a: 1}", 1),
        ("{'a': 1}", 1),
        ("{\"a\": 1,}", 8),
        ("[1 2]", 3),
        ("[1", 2),
        ("\"a", 2),
        ("\"a\nb\"", 2),
        ("\"\\x\"", 1),
        ("\"\\u12\"", 1),
        ("01", 0),
        ("1.", 2),
        ("-", 1),
        ("+1", 0),
        ("nan", 0),
        ("None", 0),
        ("1 2", 2),
    ];
    for (text, at) in wrong {
        assert_eq!(parse(text).unwrap_err().at, at, "{text}");
    }
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    assert_eq!(parse(&"[".repeat(1_000_000)).unwrap_err().expected, DEPTH);
    assert!(parse(&format!("{}1{}", "[".repeat(127), "]".repeat(127))).is_ok());
}

proptest! {
    #[test]
    fn what_serde_json_reads_is_read_alike(text in "[\\[\\]{}\",:.0-9eE+\\-\\\\u ntrufalse]{0,12}") {
        match (parse(&text), serde_json::from_str::<serde_json::Value>(&text)) {
            (Ok(found), Ok(expected)) => {
                // Of repeated keys serde_json keeps the last, and numbers may differ in their last
                // bit.
                prop_assert_eq!(plain(&found).is_object(), expected.is_object());
                if !text.contains(['.', 'e', 'E', '-']) {
                    prop_assert_eq!(plain(&found), expected);
                }
            }
            // Numbers too large for serde_json, and unpaired surrogates.
            (Ok(_), Err(_)) => {
                prop_assert!(text.contains(['e', 'E']) || text.contains("\\u"), "{}", text);
            }
            (Err(fault), Ok(_)) => prop_assert!(false, "{} refused: {:?}", text, fault),
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn what_serde_json_writes_is_read_back(text in "\\PC{0,12}", number: i64) {
        let written = serde_json::json!({&text: [&text, number, {"a": null, "b": true}]});
        prop_assert_eq!(plain(&parse(&written.to_string()).unwrap()), written);
    }
}
