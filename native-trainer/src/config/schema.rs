//! The JSON Schema of a command's file, for editors.

use clap::{Arg, ArgAction, Command};
use serde_json::{Value, json};

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
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("boomerang {}", command.get_name()),
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
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
        property["default"] = match default.parse::<f64>() {
            Ok(number) => json!(number),
            Err(_) => json!(default),
        };
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
}
