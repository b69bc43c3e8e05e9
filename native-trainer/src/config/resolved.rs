//! The flags that a command ran with, as a file to run it again.

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches};

use crate::args::Preset;

/// YAML with every flag that has a value; a comment says which are defaults, and of what.
pub fn resolved(command: &clap::Command, matches: &ArgMatches) -> String {
    let preset = matches.try_get_one::<Preset>("preset").ok().flatten();
    let of_preset = preset.map_or(&[][..], |preset| preset.flags());
    let mut lines = Vec::new();
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        let skipped = ["config", "set", "config_schema", "resume", "force", "dry_run", "probe"];
        let Some(name) = arg.get_long().filter(|_| !skipped.contains(&id)) else { continue };
        let Some(values) = matches.get_raw(id) else { continue };
        let values: Vec<String> = values.map(|value| scalar(&value.to_string_lossy())).collect();
        let value = match (&values[..], matches!(arg.get_action(), ArgAction::SetTrue)) {
            ([], _) => continue,
            (_, true) => match matches.get_flag(id) {
                true => "true".to_owned(),
                false => continue,
            },
            ([value], _) => value.clone(),
            (all, _) => format!("[{}]", all.join(", ")),
        };
        let source = match (matches.value_source(id), preset) {
            (Some(ValueSource::DefaultValue), Some(preset))
                if of_preset.iter().any(|(flag, _)| *flag == name) =>
            {
                format!("  # preset {}", preset.name())
            }
            (Some(ValueSource::DefaultValue), _) => "  # default".to_owned(),
            _ => String::new(),
        };
        lines.push(format!("{name}: {value}{source}\n"));
    }
    lines.concat()
}

/// A value as YAML reads it back.
fn scalar(text: &str) -> String {
    let is_plain = text
        .starts_with(|char: char| char.is_ascii_alphanumeric() || "./".contains(char))
        && text.chars().all(|char| char.is_ascii_alphanumeric() || "._-/@".contains(char))
        && !["true", "false", "null", "yes", "no", "on", "off"]
            .contains(&text.to_lowercase().as_str());
    // JSON strings are YAML.
    if is_plain { text.to_owned() } else { serde_json::to_string(text).unwrap_or_default() }
}
