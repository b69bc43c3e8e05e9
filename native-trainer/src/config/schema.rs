//! The JSON Schema of a command's file, for editors.

use clap::{Arg, ArgAction, Command, ValueEnum as _};
use serde_json::{Value, json};

use crate::args::Preset;

/// The schema of a command's flags.
pub fn schema(command: &Command) -> Value {
    let mut properties = serde_json::Map::new();
    for arg in command.get_arguments() {
        let own = ["config", "set", "config_schema", "help", "version"];
        let Some(name) = arg.get_long().filter(|_| !own.contains(&arg.get_id().as_str())) else {
            continue;
        };
        properties.insert(name.to_owned(), property(arg));
        for alias in arg.get_all_aliases().unwrap_or_default() {
            let text = format!("The same as {name}");
            properties.insert(alias.to_owned(), json!({"description": text, "deprecated": true}));
        }
    }
    let has_presets = properties.contains_key("preset");
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("boomerang {}", command.get_name()),
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if has_presets {
        schema["allOf"] = Preset::value_variants().iter().filter_map(defaults_of).collect();
    }
    schema
}

/// The defaults with a preset; `None` for one without.
fn defaults_of(preset: &Preset) -> Option<Value> {
    let defaults: serde_json::Map<String, Value> = preset
        .flags()
        .iter()
        .map(|(flag, value)| ((*flag).to_owned(), json!({"default": number_or_text(value)})))
        .collect();
    (!defaults.is_empty()).then(|| {
        json!({
            "if": {"properties": {"preset": {"const": preset.name()}}, "required": ["preset"]},
            "then": {"properties": defaults},
        })
    })
}

fn number_or_text(value: &str) -> Value {
    value.parse::<f64>().map_or_else(|_| json!(value), |number| json!(number))
}

fn property(arg: &Arg) -> Value {
    let mut property = json!({});
    if let Some(help) = arg.get_help() {
        property["description"] = json!(help.to_string());
    }
    let default = arg.get_default_values().first().and_then(|value| value.to_str());
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let single = match arg.get_action() {
        ArgAction::SetTrue => {
            property["type"] = json!("boolean");
            return property;
        }
        _ if !values.is_empty() => json!({"enum": values}),
        _ => json!({"type": ["string", "number", "boolean", "null"]}),
    };
    let takes_many = matches!(arg.get_action(), ArgAction::Append);
    let shape = match takes_many {
        true => json!({"anyOf": [single, {"type": "array", "items": single}]}),
        false => single,
    };
    for (key, value) in shape.as_object().into_iter().flatten() {
        property[key] = value.clone();
    }
    if let Some(default) = default {
        property["default"] = number_or_text(default);
    }
    property
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_flag_has_its_description_type_and_default() {
        let cli = Cli::command();
        let schema = schema(cli.find_subcommand("distill").unwrap());
        let of = |name: &str| schema["properties"][name].clone();
        assert_eq!(of("steps")["default"], json!(500.0));
        assert_eq!(of("resume")["type"], "boolean");
        assert_eq!(of("init")["enum"], json!(["copy", "random"]));
        assert_eq!(of("data")["anyOf"][1]["type"], "array");
        assert_eq!(of("max_steps")["description"], "The same as steps");
        assert!(of("lr")["description"].as_str().unwrap().contains("learning rate"));
        assert!(schema["properties"].get("config").is_none());
    }

    #[test]
    fn the_defaults_of_a_preset_are_in_the_schema() {
        let cli = Cli::command();
        let schema = schema(cli.find_subcommand("distill").unwrap());
        let of_smoke = schema["allOf"]
            .as_array()
            .unwrap()
            .iter()
            .find(|rule| rule["if"]["properties"]["preset"]["const"] == "smoke");
        assert_eq!(of_smoke.unwrap()["then"]["properties"]["seq-len"], json!({"default": 64.0}));
    }
}
