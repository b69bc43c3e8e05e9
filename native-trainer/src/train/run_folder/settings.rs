//! The differences between the settings of two runs.

use std::collections::BTreeSet;

use serde_json::Value;

/// A key with different values.
pub(super) struct Difference {
    pub(super) key: String,
    pub(super) stored: Value,
    pub(super) asked: Value,
}

pub(super) fn differences(stored: &Value, asked: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", stored, asked, &mut found);
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
