//! `-c run.yaml`: a file with the flags of a command. Keys are the names of flags, values what stands
//! behind them; flags on the command line come before those of the file.
//!
//! ```yaml
//! teacher: Qwen/Qwen3-0.6B-Base
//! data: [web.jsonl, code.jsonl]
//! steps: 2000
//! resume: true
//! ```

mod resolved;
mod schema;
#[cfg(test)]
mod tests;
mod yaml;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgAction, Command, CommandFactory as _, FromArgMatches as _};

use crate::cli::Cli;
use crate::exit::{Exit, OrExit as _};
use crate::files;
pub use resolved::resolved;
pub use schema::schema;

/// Why a command line is not run.
#[derive(Debug)]
pub enum Refusal {
    /// The schema was asked for.
    Schema(String),
    /// Wrong usage, or help.
    Usage(clap::Error),
    /// A file that cannot be read, or has a key that no flag has.
    Config(anyhow::Error),
}

/// Flags that may not be keys of the file.
const OF_FILES: [&str; 4] = ["config", "set", "config_schema", "help"];

/// The command of these words, with the flags of the file that they name.
///
/// # Errors
/// [`Refusal`].
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Refusal> {
    let words: Vec<OsString> = words.into_iter().collect();
    let command = Cli::command();
    let asked = subcommand(&command, &words);
    if asked.is_some() && words.iter().any(|word| word == "--config-schema") {
        let built = with_globals();
        let asked = subcommand(&built, &words).map(schema).unwrap_or_default();
        return Err(Refusal::Schema(format!("{asked:#}")));
    }
    let expanded = expanded(&words).map_err(Refusal::Config)?;
    let matches = command.clone().try_get_matches_from(expanded).map_err(Refusal::Usage)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(Refusal::Usage)?;
    if let (crate::cli::Command::Distill(args), Some((_, matches)), Some(asked)) =
        (&mut cli.command, matches.subcommand(), asked)
    {
        args.config.resolved = resolved(asked, matches);
    }
    Ok(cli)
}

/// The command line, in which every command has the flags that all of them have.
fn with_globals() -> Command {
    let mut cli = Cli::command();
    cli.build();
    cli
}

/// The index of the word that names the command, behind flags that all commands have.
fn index_of_command(words: &[OsString]) -> usize {
    let mut index = 1;
    while let Some(word) = words.get(index).and_then(|word| word.to_str()) {
        match word.strip_prefix("--progress") {
            Some("") => index += 2,
            Some(rest) if rest.starts_with('=') => index += 1,
            _ => break,
        }
    }
    index
}

/// The command that the words name, if it takes a file.
fn subcommand<'a>(cli: &'a Command, words: &[OsString]) -> Option<&'a Command> {
    let name = words.get(index_of_command(words)).and_then(|word| word.to_str());
    cli.find_subcommand(name.unwrap_or_default()).filter(|command| takes_config(command))
}

/// The words with the flags of `--config` and `--set` behind them, except those that are given already.
fn expanded(words: &[OsString]) -> anyhow::Result<Vec<OsString>> {
    let cli = with_globals();
    let Some(command) = subcommand(&cli, words) else { return Ok(words.to_vec()) };
    let (before, after) = words.split_at(index_of_command(words) + 1);
    let (mut given, mut rest) = (Vec::new(), after.iter());
    let (mut file, mut settings) = (None, Vec::new());
    let mut kept = before.to_vec();
    if before.len() > 2 {
        given.extend(id_of(command, "progress"));
    }
    while let Some(word) = rest.next() {
        let text = word.to_string_lossy();
        let (flag, inline) = match (text.split_once('='), text.strip_prefix("-c")) {
            (Some((flag, value)), _) if flag.starts_with("--") => {
                (flag.to_owned(), Some(value.to_owned()))
            }
            // As clap reads it: -cFILE and -c=FILE.
            (_, Some(value)) if !value.is_empty() => {
                let value = value.strip_prefix('=').unwrap_or(value);
                ("-c".to_owned(), Some(value.to_owned()))
            }
            _ => (text.clone().into_owned(), None),
        };
        let mut value =
            || inline.clone().or_else(|| rest.next().map(|w| w.to_string_lossy().into_owned()));
        match flag.as_str() {
            "-c" | "--config" | "--set" => {
                let found = value().ok_or_else(|| {
                    Exit::Usage.error(format!("{flag} is the last word; a value has to follow"))
                })?;
                match flag.as_str() {
                    "--set" => settings.push(found),
                    _ if file.is_some() => {
                        return Err(Exit::Usage.error("there is more than one --config"));
                    }
                    _ => file = Some(PathBuf::from(found)),
                }
            }
            _ => {
                if let Some(name) = flag.strip_prefix("--") {
                    given.extend(id_of(command, name));
                }
                kept.push(word.clone());
            }
        }
    }
    let mut flags = Vec::new();
    // The last of several counts, and comes before the file.
    for setting in settings.iter().rev() {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| Exit::Usage.error(format!("--set {setting}: expected KEY=VALUE")))?;
        flags.push((key.to_owned(), yaml::scalar(value), format!("--set {setting}")));
    }
    if let Some(path) = &file {
        let from_file = yaml::read(&files::read_text(path)?, &path.display().to_string())?;
        let mut seen = Vec::new();
        for (key, _, place) in &from_file {
            let id = id_of(command, key);
            if id.is_some() && seen.contains(&id) {
                return Err(
                    Exit::Usage.error(format!("{place}: {key} is another name of a key above"))
                );
            }
            seen.push(id);
        }
        flags.extend(from_file);
    }
    for (key, value, place) in flags {
        let id = id_of(command, &key).filter(|id| !OF_FILES.contains(&id.as_str()));
        let id = id.ok_or_else(|| unknown(command, &key, &place))?;
        if given.contains(&id) {
            continue;
        }
        kept.extend(words_of(command, &id, &key, value, &place).or_exit(Exit::Usage)?);
        given.push(id);
    }
    Ok(kept)
}

fn takes_config(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == "config")
}

/// The flag with a name, be it an alias, with `_` or `-` between words.
fn id_of(command: &Command, name: &str) -> Option<String> {
    let same = |one: &str| one.replace('_', "-") == name.replace('_', "-");
    let found = command.get_arguments().find(|arg| {
        arg.get_long().is_some_and(same)
            || arg.get_all_aliases().unwrap_or_default().into_iter().any(same)
    });
    found.map(|arg| arg.get_id().to_string())
}

fn unknown(command: &Command, key: &str, place: &str) -> anyhow::Error {
    let keys = command.get_arguments().filter(|arg| !OF_FILES.contains(&arg.get_id().as_str()));
    let names = keys.filter_map(|arg| arg.get_long());
    let nearest = names.map(|name| (distance(name, key), name)).min();
    let hint = match nearest {
        Some((distance, name)) if distance <= 2 + key.len() / 3 => {
            format!("; did you mean {name}?")
        }
        _ => format!("; see `boomerang {} --help`", command.get_name()),
    };
    Exit::Usage.error(format!("{place}: unknown key {key}{hint}"))
}

/// How many characters differ (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.replace('_', "-").chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, char) in one.chars().enumerate() {
        let mut above_left = std::mem::replace(&mut row[0], index + 1);
        for column in 0..other.len() {
            let change = above_left + usize::from(other[column] != char);
            above_left = row[column + 1];
            row[column + 1] = change.min(row[column] + 1).min(above_left + 1);
        }
    }
    row[other.len()]
}

/// The words of a flag on the command line.
fn words_of(
    command: &Command,
    id: &str,
    key: &str,
    value: yaml::Setting,
    place: &str,
) -> anyhow::Result<Vec<OsString>> {
    let arg = command.get_arguments().find(|arg| arg.get_id() == id);
    let arg = arg.context("the flag was found a moment ago")?;
    let flag = format!("--{}", arg.get_long().unwrap_or(key));
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    match value {
        yaml::Setting::Absent => Ok(Vec::new()),
        yaml::Setting::Flag(true) if is_switch => Ok(vec![flag.into()]),
        yaml::Setting::Flag(false) if is_switch => Ok(Vec::new()),
        _ if is_switch => anyhow::bail!("{place}: {key} is true or false"),
        yaml::Setting::Flag(value) => Ok(vec![format!("{flag}={value}").into()]),
        yaml::Setting::Text(value) => Ok(vec![format!("{flag}={value}").into()]),
        yaml::Setting::List(values) if values.is_empty() => Ok(Vec::new()),
        yaml::Setting::List(values) => {
            // Commas separate values of one flag; others are repeated.
            Ok(match arg.get_value_delimiter() {
                Some(comma) => {
                    let joined = values.join(&comma.to_string());
                    vec![format!("{flag}={joined}").into()]
                }
                None => values.iter().map(|value| format!("{flag}={value}").into()).collect(),
            })
        }
    }
}
