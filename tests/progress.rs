use std::path::Path;
use std::process::{Command, Stdio};

use boomerang_tests::commands::write_distillation;
use serde_json::Value;

/// The exit code of a command, and the lines of its standard error as JSON.
fn events(line: &str, dir: &Path) -> (Option<i32>, Vec<Value>) {
    let words = line.split_whitespace().map(|word| word.replace("{dir}", &dir.to_string_lossy()));
    let output = Command::new(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let parsed = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    (output.status.code(), text.lines().map(parsed).collect())
}

const DISTILL: &str = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --seq-len 16 --steps 4 \
                       --batch-size 2 --device cpu --out {dir}/run --progress json";

#[test]
fn every_line_is_an_object_and_the_last_progress_is_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    let (code, events) = events(DISTILL, dir.path());
    assert_eq!(code, Some(0), "{events:?}");
    let is_note = |event: &&Value| event["event"] == "note" && event["text"].is_string();
    assert!(events.iter().any(|event| is_note(&event)), "{events:?}");
    let last = events.iter().rfind(|event| event["event"] == "progress").unwrap();
    assert_eq!(
        (&last["task"], &last["done"], &last["total"]),
        (&"distill".into(), &4.into(), &4.into())
    );
    for key in ["elapsed_s", "loss", "ce", "grad_norm", "lr", "tokens_per_second"] {
        assert!(last[key].is_f64(), "{key}: {last}");
    }
    assert_eq!(last["tokens"], 128);
}

#[test]
fn the_error_of_a_command_is_the_last_object_with_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    for (line, sentence) in [
        ("--progress json doctor --wrong", "--wrong"),
        ("inspect {dir}/nothing --progress=json", "nothing"),
    ] {
        let (code, events) = events(line, dir.path());
        let last = events.last().unwrap();
        assert_eq!(last["event"], "error", "{last}");
        assert_eq!(last["exit_code"].as_i64(), code.map(i64::from));
        assert!(last["text"].as_str().unwrap().contains(sentence), "{last}");
    }
}
