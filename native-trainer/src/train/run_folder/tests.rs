//! Runs that are saved, damaged, resumed and started over.

use serde_json::json;

use super::*;
use crate::exit::{code_of, describe};

/// Two bytes for two files.
struct Bytes;

impl Snapshot for Bytes {
    fn write_model(&self, out: &mut dyn Write) -> Result<(), CheckpointError> {
        out.write_all(&[1]).map_err(CheckpointError::Output)
    }

    fn write_optimizer(&self, out: &mut dyn Write) -> Result<(), CheckpointError> {
        out.write_all(&[2]).map_err(CheckpointError::Output)
    }
}

fn save(run: &RunFolder, step: usize) {
    run.save(State { step, ..State::default() }, &Bytes).unwrap();
}

fn created(path: &Path) -> RunFolder {
    RunFolder::create(path, &Value::Null, false).unwrap()
}

/// A run of ten steps, saved after each fifth.
fn ten_steps(path: &Path) -> RunFolder {
    let run = created(path);
    let mut metrics = run.metrics(0).unwrap();
    for step in 1..=10 {
        append_line(&mut metrics, &json!({"step": step})).unwrap();
        if step % 5 == 0 {
            save(&run, step);
        }
    }
    run
}

fn steps(run: &RunFolder) -> Vec<u64> {
    let text = fs::read_to_string(run.path().join(METRICS)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap())
        .collect()
}

#[test]
fn the_first_setting_that_differs_is_named() {
    let stored = json!({"loss": {"kl": 0.1}, "steps": 5});
    let asked = json!({"loss": {"kl": 0.2}, "steps": 5});
    let found = differences(&stored, &asked);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&*found[0].key, &found[0].stored, &found[0].asked),
        ("loss.kl", &json!(0.1), &json!(0.2))
    );
    assert!(differences(&stored, &stored).is_empty());
}

#[test]
fn the_newest_checkpoint_is_found_and_old_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    let run = created(folder.path());
    for step in [5, 10, 15] {
        save(&run, step);
    }
    assert_eq!(run.newest().unwrap().unwrap().state.step, 15);
    assert_eq!(run.checkpoint_names(), ["step-000010", "step-000015"]);
}

#[test]
fn a_truncated_checkpoint_is_replaced_by_the_one_before() {
    for name in ["model.safetensors", "optimizer.safetensors", "metrics.jsonl", "state.json"] {
        let folder = tempfile::tempdir().unwrap();
        let run = ten_steps(folder.path());
        let path = run.checkpoints().join("step-000010").join(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(run.newest().unwrap().unwrap().state.step, 5, "{name}");
    }
}

#[test]
fn a_run_without_an_intact_checkpoint_is_refused_with_both() {
    let folder = tempfile::tempdir().unwrap();
    let run = ten_steps(folder.path());
    for name in ["step-000005", "step-000010"] {
        fs::write(run.checkpoints().join(name).join("model.safetensors"), "").unwrap();
    }
    let Err(error) = run.newest() else { panic!("a damaged checkpoint was read") };
    assert_eq!(code_of(&error), Exit::Unusable);
    let sentence = describe(&error);
    assert!(sentence.contains("step-000005") && sentence.contains("step-000010"), "{sentence}");
}

#[test]
fn metrics_after_the_checkpoint_are_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = ten_steps(folder.path());
    run.metrics(5).unwrap();
    assert_eq!(steps(&run), [1, 2, 3, 4, 5]);
}

#[test]
fn a_metrics_file_that_was_cut_loses_no_step() {
    let folder = tempfile::tempdir().unwrap();
    let run = ten_steps(folder.path());
    let path = run.path().join(METRICS);
    for n_left in [0, 5, 60] {
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..n_left.min(bytes.len() - 3)]).unwrap();
        run.metrics(10).unwrap();
        assert_eq!(steps(&run), (1..=10).collect::<Vec<_>>());
    }
}

#[test]
fn a_run_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let run = created(folder.path());
    for outcome in [
        RunFolder::resume(folder.path(), &Value::Null, false),
        RunFolder::create(folder.path(), &Value::Null, true),
    ] {
        let error = outcome.unwrap_err();
        assert_eq!(code_of(&error), Exit::Usage);
        assert!(describe(&error).contains("another process is writing"), "{error}");
    }
    drop(run);
    RunFolder::resume(folder.path(), &Value::Null, false).unwrap();
}

#[test]
fn starting_over_removes_the_run_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    drop(ten_steps(folder.path()));
    fs::write(folder.path().join("notes.md"), "mine").unwrap();
    let run = RunFolder::create(folder.path(), &Value::Null, true).unwrap();
    assert!(run.newest().unwrap().is_none() && !folder.path().join(METRICS).exists());
    assert_eq!(fs::read(folder.path().join("notes.md")).unwrap(), b"mine");
}

#[test]
fn starting_over_keeps_a_checkpoint_with_files_of_somebody_else() {
    let folder = tempfile::tempdir().unwrap();
    drop(ten_steps(folder.path()));
    let notes = folder.path().join("checkpoints/step-000005/notes.md");
    fs::write(&notes, "mine").unwrap();
    let error = RunFolder::create(folder.path(), &Value::Null, true).unwrap_err();
    assert!(describe(&error).contains("notes.md was not written by Boomerang"), "{error}");
    assert!(notes.exists() && folder.path().join("checkpoints/step-000010").exists());
}

#[test]
fn a_folder_that_no_run_wrote_is_not_started_over() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("settings.json"), "{}").unwrap();
    fs::create_dir(folder.path().join("checkpoints")).unwrap();
    let error = RunFolder::create(folder.path(), &Value::Null, true).unwrap_err();
    assert_eq!(code_of(&error), Exit::Usage);
    assert!(folder.path().join("checkpoints").exists());
}

#[test]
fn other_settings_are_accepted_when_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    drop(RunFolder::create(folder.path(), &json!({"lr": 1}), false).unwrap());
    let asked = json!({"lr": 2});
    assert!(RunFolder::resume(folder.path(), &asked, false).is_err());
    drop(RunFolder::resume(folder.path(), &asked, true).unwrap());
    RunFolder::resume(folder.path(), &asked, false).unwrap();
}
