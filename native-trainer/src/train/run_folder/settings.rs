//! The settings of a run that is resumed: what may differ from those it was started with.

use std::collections::BTreeSet;

use boomerang_core::distill::Schedule;
use serde_json::Value;

/// A key with different values.
pub struct Difference {
    pub key: String,
    pub stored: Value,
    pub asked: Value,
}

/// The number of steps, in the settings of a distillation.
const TOTAL_STEPS: &str = "settings.update.schedule.total_steps";

/// Keys that runs of earlier versions do not have.
const LATER: [&str; 2] = ["fingerprints", "second_data.first_steps"];

/// The learning rates of a run by its settings; `None` for settings of another kind.
pub fn schedule(settings: &Value) -> Option<Schedule> {
    serde_json::from_value(settings.pointer("/settings/update/schedule")?.clone()).ok()
}

/// All differences between settings that were stored as text and those that are asked for.
pub fn differences(stored: &Value, asked: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    // A number may lose its last bit on the way through text.
    let as_stored = serde_json::from_str(&asked.to_string());
    compare("", stored, as_stored.as_ref().unwrap_or(asked), &mut found);
    found
}

impl Difference {
    /// Whether a run is asked to take more steps than before: the only difference that every run
    /// accepts, as it changes no step that was taken.
    pub fn is_lengthening(&self) -> bool {
        self.key == TOTAL_STEPS && self.asked.as_u64() > self.stored.as_u64()
    }
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
        (Value::Null, _) if LATER.contains(&key) => {}
        _ => found.push(Difference {
            key: key.to_owned(),
            stored: stored.clone(),
            asked: asked.clone(),
        }),
    }
}
