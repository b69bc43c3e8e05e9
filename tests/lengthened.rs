use std::path::Path;

use boomerang_tests::commands::{boomerang, failure, write_distillation, write_ids};
use boomerang_tests::{read, read_json};
use serde_json::Value;

const SETTINGS: &str = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --seq-len 16 \
                        --batch-size 2 --lr 1e-2 --save-every 4 --device cpu --out {dir}/run";

fn lines(dir: &Path) -> Vec<Value> {
    let text = String::from_utf8(read(dir.join("run/metrics.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn rates(dir: &Path) -> Vec<f64> {
    lines(dir).iter().map(|line| line["lr"].as_f64().unwrap()).collect()
}

#[test]
fn a_finished_run_continues_with_the_rates_of_the_longer_schedule() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    boomerang(&format!("{SETTINGS} --steps 150"), &paths).unwrap();
    let before = rates(dir.path());
    boomerang(&format!("{SETTINGS} --steps 160 --resume"), &paths).unwrap();
    let after = rates(dir.path());
    assert_eq!(after[..150], before);
    assert_eq!(after.len(), 160);
    // 160 steps alone would warm up as long, and longer ones longer.
    let expected = 1e-2 * 0.5 * (1.0 + (std::f64::consts::PI * 148.0 / 158.0).cos());
    assert!((after[150] - expected).abs() < 1e-9, "{} instead of {expected}", after[150]);
}

#[test]
fn a_lengthened_run_keeps_its_warm_up_and_is_resumed_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    boomerang(&format!("{SETTINGS} --steps 8"), &paths).unwrap();
    let longer = format!("{SETTINGS} --steps 300");
    boomerang(&format!("{longer} --resume --stop-after 10"), &paths).unwrap();
    boomerang(&format!("{longer} --resume --stop-after 12"), &paths).unwrap();
    let settings = read_json(dir.path().join("run/settings.json"));
    let schedule = &settings["settings"]["update"]["schedule"];
    assert_eq!((&schedule["warmup_steps"], &schedule["total_steps"]), (&1.into(), &300.into()));
    assert_eq!(lines(dir.path()).len(), 12);
}

#[test]
fn the_second_phase_of_a_lengthened_run_begins_where_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    write_ids(&dir.path().join("more.jsonl"), 5, 9);
    let phases = format!("{SETTINGS} --second-data {{dir}}/more.jsonl");
    boomerang(&format!("{phases} --steps 8"), &paths).unwrap();
    boomerang(&format!("{phases} --steps 12 --resume"), &paths).unwrap();
    let totals: Vec<u64> =
        lines(dir.path()).iter().map(|line| line["tokens"].as_u64().unwrap()).collect();
    // Two sequences of 16 tokens a step, then two of 9.
    assert_eq!((totals[3], totals[4], totals[11]), (128, 146, 272));
}

#[test]
fn fewer_steps_than_were_taken_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    boomerang(&format!("{SETTINGS} --steps 8"), &paths).unwrap();
    for more in ["", "--allow-mismatch"] {
        let line = format!("{SETTINGS} --steps 6 --resume {more}");
        let (sentence, code) = failure(&line, &paths);
        assert!(sentence.contains("--steps 6 is less than the 8 steps"), "{sentence}");
        assert_eq!(code, 2);
    }
}

#[test]
fn a_run_is_shortened_only_when_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    boomerang(&format!("{SETTINGS} --steps 8 --stop-after 4"), &paths).unwrap();
    let shorter = format!("{SETTINGS} --steps 6 --resume");
    let (sentence, _) = failure(&shorter, &paths);
    assert!(sentence.contains("total_steps = 8, this command has 6"), "{sentence}");
    boomerang(&format!("{shorter} --allow-mismatch"), &paths).unwrap();
    assert_eq!(lines(dir.path()).len(), 6);
}
