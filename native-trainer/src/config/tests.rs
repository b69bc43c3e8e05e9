//! Files, the command line and presets, in the order in which they count.

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
    assert!(first.contains("steps: 3\n") && first.contains("lr: 0.0003  # default\n"), "{first}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.yaml");
    std::fs::write(&path, &first).unwrap();
    let again = distill(&["boomerang", "distill", "-c", path.to_str().unwrap()]);
    let without = |text: &str| text.replace("  # default", "");
    assert_eq!(without(&again.config.resolved), without(&first));
}

fn distill(words: &[&str]) -> Box<crate::commands::distill::DistillArgs> {
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
    let args = distill(&["boomerang", "distill", "-c", path.to_str().unwrap(), "--set", "steps=9"]);
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
fn a_flag_of_all_commands_may_be_before_the_command_or_in_the_file() {
    let found = |line: &str| words(line, "progress: json\nsteps: 7\n").unwrap().join(" ");
    let expected = "boomerang --progress plain distill --steps=7";
    assert_eq!(found("boomerang --progress plain distill -c {file}"), expected);
    let expected = "boomerang distill --progress=json --steps=7";
    assert_eq!(found("boomerang distill -c {file}"), expected);
}

#[test]
fn commands_without_a_config_are_left_as_they_are() {
    let found = words("boomerang doctor -c {file}", "").unwrap();
    assert_eq!(found[2], "-c");
}
