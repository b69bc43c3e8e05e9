use std::fs;
use std::path::Path;

use boomerang_tests::commands::{boomerang, failure, write_distillation};
use boomerang_tests::{read, read_json};
use serde_json::Value;

/// Steps on known rows, then as many on other data as `spikes` says.
pub(crate) const SETTINGS: &str = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --seq-len 16 \
                        --batch-size 2 --micro-batches 2 --lr 1e-2 --steps 60 --save-every 8 \
                        --second-data {dir}/second.jsonl --second-from 0.5 --device cpu \
                        --ce-weight 1 --kl-weight 0 --cosine-weight 0 --skip-spikes 1 --max-skipped 2";

pub(crate) const ROLLBACK: &str = "--on-divergence rollback";

/// A second phase that begins with this many rows that the student has not seen, of random tokens.
pub(crate) fn folder(n_spikes: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    let known = String::from_utf8(read(dir.path().join("data.jsonl"))).unwrap();
    let unknown = |row: usize| {
        let ids: Vec<usize> =
            (0..16).map(|position| (row * 11 + position * position * 3) % 31).collect();
        format!("{{\"input_ids\": {ids:?}}}\n")
    };
    let text: String = (0..n_spikes).map(unknown).chain(std::iter::repeat_n(known, 20)).collect();
    fs::write(dir.path().join("second.jsonl"), text).unwrap();
    dir
}

fn lines(run: &Path) -> Vec<Value> {
    let text = String::from_utf8(read(run.join("metrics.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn state(run: &Path) -> Value {
    read_json(run.join("checkpoints/step-000060/state.json"))
}

#[test]
fn a_run_that_diverges_continues_from_its_checkpoint_with_other_data_at_half_the_rate() {
    let dir = folder(12);
    let paths = [("dir", dir.path())];
    let (sentence, code) = failure(&format!("{SETTINGS} --out {{dir}}/stops"), &paths);
    assert!(sentence.contains("far above those before it at step 33"), "{sentence}");
    assert_eq!(code, 6);
    boomerang(&format!("{SETTINGS} {ROLLBACK} --out {{dir}}/run"), &paths).unwrap();
    let run = dir.path().join("run");
    let expected = serde_json::json!({"times": 1, "to_step": 24, "skipped_steps": 9});
    assert_eq!(state(&run)["rolled_back"], expected);
    let lines = lines(&run);
    assert_eq!(lines.len(), 60);
    assert!(lines.iter().all(|line| line["skipped"].is_null()));
    let rate = |step: usize| lines[step - 1]["lr"].as_f64().unwrap();
    assert!(rate(25) < 0.51 * rate(24) && rate(25) > 0.45 * rate(24));
}

#[test]
fn a_run_that_rolled_back_is_resumed_to_the_same_bytes() {
    let dir = folder(12);
    let paths = [("dir", dir.path())];
    let line = format!("{SETTINGS} {ROLLBACK}");
    boomerang(&format!("{line} --out {{dir}}/whole"), &paths).unwrap();
    for stop in [34, 41] {
        let halves = format!("{line} --out {{dir}}/halves");
        boomerang(&format!("{halves} --force --stop-after {stop}"), &paths).unwrap();
        boomerang(&format!("{halves} --resume"), &paths).unwrap();
        let [whole, halves] = ["whole", "halves"].map(|run| dir.path().join(run));
        assert_eq!(state(&halves)["rolled_back"], state(&whole)["rolled_back"]);
        let weights = |run: &Path| read(run.join("student/model.safetensors"));
        assert!(weights(&whole) == weights(&halves), "after step {stop}");
    }
}

#[test]
fn several_devices_roll_back_together() {
    let dir = folder(12);
    let paths = [("dir", dir.path())];
    for (run, devices) in [("one", ""), ("two", "--devices 2")] {
        boomerang(&format!("{SETTINGS} {ROLLBACK} {devices} --out {{dir}}/{run}"), &paths).unwrap();
    }
    let [one, two] = ["one", "two"].map(|run| dir.path().join(run));
    assert_eq!(state(&one)["rolled_back"], state(&two)["rolled_back"]);
    let losses = |run: &Path| -> Vec<f64> {
        lines(run).iter().map(|line| line["loss"].as_f64().unwrap()).collect()
    };
    for (one, two) in losses(&one).into_iter().zip(losses(&two)) {
        assert!((one - two).abs() < 1e-3, "{one} and {two}");
    }
}

#[test]
fn a_run_that_diverges_again_and_again_ends() {
    let dir = folder(400);
    let line = format!("{SETTINGS} {ROLLBACK} --out {{dir}}/run");
    for devices in ["", "--devices 2 --force"] {
        let (sentence, code) = failure(&format!("{line} {devices}"), &[("dir", dir.path())]);
        assert!(sentence.contains("after 3 roll-backs"), "{sentence}");
        assert!(sentence.contains("resume from the checkpoint at step"), "{sentence}");
        assert_eq!(code, 6);
    }
}

#[test]
fn a_run_without_a_checkpoint_has_nothing_to_roll_back_to() {
    let dir = folder(12);
    let line = format!("{SETTINGS} {ROLLBACK} --out {{dir}}/run");
    let line = line.replace("--save-every 8", "--save-every 100");
    let (sentence, code) = failure(&line, &[("dir", dir.path())]);
    assert!(sentence.contains("there is no checkpoint yet"), "{sentence}");
    assert_eq!(code, 6);
}
