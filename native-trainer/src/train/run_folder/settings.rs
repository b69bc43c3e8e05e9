//! The differences between the settings of two runs.

use std::collections::BTreeSet;

use serde_json::Value;

/// A key with different values.
pub struct Difference {
    pub key: String,
    pub stored: Value,
    pub asked: Value,
}

/// All differences between settings that were stored as text and those that are asked for.
pub fn differences(stored: &Value, asked: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    // A number may lose its last bit on the way through text.
    let as_stored = serde_json::from_str(&asked.to_string());
    compare("", stored, as_stored.as_ref().unwrap_or(asked), &mut found);
    found
}

fn compare(key: &str, stored: &Value, asked: &Value, found: &mut Vec<Difference>) {
    match (stored, asked) {
        (Value::Object(stored), Value::Object(asked)) => {
            let names: BTreeSet<&String> = stored.keys().chain(asked.keys()).collect();
            for name in names {
                let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                let value = |map: &serde_json::Map<String, Value>| {
                    map.get(name).cloned().unwrap_or(Value::Null)
                };
                compare(&inner, &value(stored), &value(asked), found);
            }
        }
        _ if stored == asked => {}
        // Runs of earlier versions have no fingerprints.
        (Value::Null, _) if key == "fingerprints" => {}
        _ => found.push(Difference {
            key: key.to_owned(),
            stored: stored.clone(),
            asked: asked.clone(),
        }),
    }
}
