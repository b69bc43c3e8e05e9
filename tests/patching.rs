use std::path::Path;

use boomerang_tests::commands::{boomerang, failure, write_distillation};
use boomerang_tests::{read, read_json};

const SETTINGS: &str = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --seq-len 16 \
                        --batch-size 2 --micro-batches 2 --lr 1e-2 --save-every 4 --device cpu";

/// The files of a run that have no times in them.
fn files(dir: &Path, run: &str) -> [Vec<u8>; 2] {
    ["settings.json", "student/model.safetensors"].map(|file| read(dir.join(run).join(file)))
}

#[test]
fn a_probability_of_0_gives_the_bytes_of_a_run_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    boomerang(&format!("{SETTINGS} --steps 6 --out {{dir}}/without"), &paths).unwrap();
    let zero = format!("{SETTINGS} --steps 6 --patch-probability 0 --out {{dir}}/zero");
    boomerang(&zero, &paths).unwrap();
    assert!(files(dir.path(), "without") == files(dir.path(), "zero"));
}

#[test]
fn a_patched_run_is_resumed_with_the_draws_that_it_would_have_had() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    let patched = format!("{SETTINGS} --steps 12 --patch-probability 0.4 --seed 5");
    boomerang(&format!("{patched} --out {{dir}}/whole"), &paths).unwrap();
    boomerang(&format!("{patched} --out {{dir}}/halves --stop-after 5"), &paths).unwrap();
    boomerang(&format!("{patched} --out {{dir}}/halves --resume"), &paths).unwrap();
    assert!(files(dir.path(), "whole") == files(dir.path(), "halves"));
    let settings = read_json(dir.path().join("whole/settings.json"));
    assert_eq!((&settings["patch_probability"], &settings["seed"]), (&0.4.into(), &5.into()));
}

#[test]
fn another_seed_draws_other_members() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    for seed in ["5", "6"] {
        let patched = format!("{SETTINGS} --steps 4 --patch-probability 0.4 --seed {seed}");
        boomerang(&format!("{patched} --out {{dir}}/{seed}"), &[("dir", dir.path())]).unwrap();
    }
    let [five, six] = ["5", "6"].map(|run| files(dir.path(), run)[1].clone());
    assert!(five != six);
}

#[test]
fn patching_from_a_streamed_teacher_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    let line = format!(
        "{SETTINGS} --steps 2 --patch-probability 0.25 --teacher-weights streamed --out {{dir}}/run"
    );
    let (sentence, code) = failure(&line, &[("dir", dir.path())]);
    assert!(sentence.contains("--patch-probability 0.25"), "{sentence}");
    assert!(sentence.contains("--teacher-weights resident"), "{sentence}");
    assert_eq!(code, 2);
    assert!(!dir.path().join("run").exists());
}
