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
const OF_FILES: [&str; 3] = ["config", "set", "config_schema"];

/// The command of these words, with the flags of the file that they name.
///
/// # Errors
/// [`Refusal`].
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Refusal> {
    let words: Vec<OsString> = words.into_iter().collect();
    let command = Cli::command();
    let asked = subcommand(&command, &words);
    if let Some(asked) = asked.filter(|_| words.iter().any(|word| word == "--config-schema")) {
        return Err(Refusal::Schema(format!("{:#}", schema(asked))));
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

/// The command that the words name, if it takes a file.
fn subcommand<'a>(cli: &'a Command, words: &[OsString]) -> Option<&'a Command> {
    let name = words.get(1).and_then(|word| word.to_str()).unwrap_or_default();
    cli.find_subcommand(name).filter(|command| takes_config(command))
}

/// The words with the flags of `--config` and `--set` behind them, except those that are given already.
fn expanded(words: &[OsString]) -> anyhow::Result<Vec<OsString>> {
    let cli = Cli::command();
    let Some(command) = subcommand(&cli, words) else { return Ok(words.to_vec()) };
    let (mut given, mut rest) = (Vec::new(), words.iter().skip(2));
    let (mut file, mut settings) = (None, Vec::new());
    let mut kept = words.iter().take(2).cloned().collect::<Vec<_>>();
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn words(line: &str, yaml: &str) -> anyhow::Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.yaml");
        std::fs::write(&path, yaml).unwrap();
        let line = line.replace("{file}", &path.to_string_lossy());
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let expanded = expanded(&words)?;
        Ok(expanded.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn a_file_gives_the_flags_that_the_command_line_does_not() {
        let yaml = "teacher: t\ndata: [a.jsonl, b.jsonl]\nsteps: 7\nper_device_train_batch_size: 3\n\
                    freeze: [embedding, head]\ndry_run: true\nresume: false\nstudent: null\nlr: 1e-3\n";
        let found =
            words("boomerang distill -c {file} --steps 5 --set lr=1 --set lr=2e-4 --out o", yaml)
                .unwrap();
        assert_eq!(
            found,
            [
                "boomerang",
                "distill",
                "--steps",
                "5",
                "--out",
                "o",
                "--lr=2e-4",
                "--teacher=t",
                "--data=a.jsonl",
                "--data=b.jsonl",
                "--batch-size=3",
                "--freeze=embedding,head",
                "--dry-run"
            ]
        );
        assert!(Cli::try_parse_from(found).is_ok());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_one() {
        let error = words("boomerang distill -c {file}", "teacher: t\nsteps: 1\nseqlen: 8\n");
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("run.yaml, line 3: unknown key seqlen; did you mean seq-len?"),
            "{error}"
        );
        let error = words("boomerang distill --set zzzzzz=1", "").unwrap_err().to_string();
        assert!(error.contains("see `boomerang distill --help`"), "{error}");
        let nested = words("boomerang distill -c {file}", "config: other.yaml\n").unwrap_err();
        assert!(nested.to_string().contains("unknown key config"), "{nested}");
        let error = words("boomerang distill -c {file}", "resume: 3\n").unwrap_err().to_string();
        assert!(error.contains("line 1: resume is true or false"), "{error}");
    }

    #[test]
    fn the_flags_of_a_run_are_a_file_that_runs_it_again() {
        let line = "boomerang distill --teacher t --data a,b.jsonl --data c.jsonl --out o --steps 3 \
                    --freeze head --dry-run";
        let first = distill(&line.split_whitespace().collect::<Vec<_>>()).config.resolved;
        assert!(first.contains("data: [\"a,b.jsonl\", c.jsonl]\n"), "{first}");
        assert!(
            first.contains("steps: 3\n") && first.contains("lr: 0.0003  # default\n"),
            "{first}"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.yaml");
        std::fs::write(&path, &first).unwrap();
        let again = distill(&["boomerang", "distill", "-c", path.to_str().unwrap()]);
        let without = |text: &str| text.replace("  # default", "");
        assert_eq!(without(&again.config.resolved), without(&first));
    }

    fn distill(words: &[&str]) -> crate::commands::distill::DistillArgs {
        match parse(words.iter().map(OsString::from)) {
            Ok(Cli { command: crate::cli::Command::Distill(args), .. }) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_preset_sets_is_in_the_file_of_a_run_unless_a_flag_or_a_file_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.yaml");
        std::fs::write(&path, "preset: smoke\nseq-len: 48\nteacher: t\ndata: d\nout: o\n").unwrap();
        let args =
            distill(&["boomerang", "distill", "-c", path.to_str().unwrap(), "--set", "steps=9"]);
        assert_eq!((args.steps, args.seq_len, args.rows), (Some(9), Some(48), 2));
        let lines: Vec<&str> = args.config.resolved.lines().collect();
        assert!(lines.contains(&"batch-size: 2  # preset smoke"), "{lines:?}");
        assert!(lines.contains(&"steps: 9") && lines.contains(&"seq-len: 48"), "{lines:?}");
    }

    #[test]
    fn the_tokens_of_a_preset_are_in_the_file_of_a_run_instead_of_its_steps() {
        let line = "boomerang distill --teacher t --data d --out o --preset quick";
        let first = distill(&line.split(' ').collect::<Vec<_>>());
        assert!(first.config.resolved.contains("train-tokens: 10M  # preset quick\n"));
        assert!(!first.config.resolved.contains("\nsteps:"), "{}", first.config.resolved);
        // 10 M tokens in steps of 8 x 2048, rounded up.
        assert_eq!(first.n_steps(2048), 611);
    }

    #[test]
    fn commands_without_a_config_are_left_as_they_are() {
        let found = words("boomerang doctor -c {file}", "").unwrap();
        assert_eq!(found[2], "-c");
    }
}
