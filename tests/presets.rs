use std::path::Path;

use boomerang_tests::commands::{boomerang, failure, write_distillation};
use boomerang_tests::{read, read_json};

const SETTINGS: &str = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --device cpu";

fn n_steps(run: &Path) -> usize {
    String::from_utf8(read(run.join("metrics.jsonl"))).unwrap().lines().count()
}

#[test]
fn a_smoke_run_ends_after_five_steps_with_a_student() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    let line = format!("{SETTINGS} --preset smoke --out {{dir}}/run");
    boomerang(&line, &[("dir", dir.path())]).unwrap();
    assert_eq!(n_steps(&dir.path().join("run")), 5);
    assert!(dir.path().join("run/student/model.safetensors").exists());
}

#[test]
fn a_run_of_tokens_takes_as_many_steps_as_read_them() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    let line =
        format!("{SETTINGS} --seq-len 16 --batch-size 2 --micro-batches 2 --out {{dir}}/run");
    boomerang(&format!("{line} --train-tokens 130"), &[("dir", dir.path())]).unwrap();
    assert_eq!(n_steps(&dir.path().join("run")), 3);
    // 64 tokens a step: lengthened to five.
    boomerang(&format!("{line} --train-tokens 320 --resume"), &[("dir", dir.path())]).unwrap();
    assert_eq!(n_steps(&dir.path().join("run")), 5);
    let both = format!("{line} --train-tokens 130 --steps 3 --force");
    let (sentence, _) = failure(&both, &[("dir", dir.path())]);
    assert!(sentence.contains("--train-tokens"), "{sentence}");
}

#[test]
fn a_weight_that_is_given_comes_before_that_of_adapt() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    for (more, expected) in [("", 10.0), ("--cosine-weight 3", 3.0)] {
        let line = format!(
            "{SETTINGS} --preset adapt --steps 1 --seq-len 16 {more} --out {{dir}}/run --force"
        );
        boomerang(&line, &[("dir", dir.path())]).unwrap();
        let settings = read_json(dir.path().join("run/settings.json"));
        assert_eq!(settings["settings"]["loss"]["alignment"], expected);
    }
}
