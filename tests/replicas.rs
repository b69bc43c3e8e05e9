use std::path::Path;

use boomerang_tests::commands::{boomerang, failure, write_distillation};
use boomerang_tests::read;
use serde_json::Value;

const SETTINGS: &str = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --seq-len 16 \
                        --batch-size 2 --micro-batches 3 --lr 1e-2 --steps 6 --save-every 2 \
                        --device cpu";

fn losses(dir: &Path, run: &str) -> Vec<[f64; 3]> {
    let text = String::from_utf8(read(dir.join(run).join("metrics.jsonl"))).unwrap();
    let numbers = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        ["loss", "grad_norm", "tokens"].map(|key| line[key].as_f64().unwrap())
    };
    text.lines().map(numbers).collect()
}

#[test]
fn two_devices_take_the_steps_of_one_and_can_be_resumed_on_one() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    boomerang(&format!("{SETTINGS} --out {{dir}}/one"), &paths).unwrap();
    boomerang(&format!("{SETTINGS} --out {{dir}}/two --devices 2"), &paths).unwrap();
    let halves = format!("{SETTINGS} --out {{dir}}/halves");
    boomerang(&format!("{halves} --devices 3 --stop-after 3"), &paths).unwrap();
    boomerang(&format!("{halves} --resume"), &paths).unwrap();
    let expected = losses(dir.path(), "one");
    for run in ["two", "halves"] {
        let found = losses(dir.path(), run);
        assert_eq!(found.len(), 6);
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            let difference = (found - expected).abs() / expected.abs().max(1.0);
            assert!(difference < 1e-4, "{run}: {found} instead of {expected}");
        }
    }
}

#[test]
fn more_devices_than_micro_batches_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    let line = format!("{SETTINGS} --out {{dir}}/run --devices 4");
    let (sentence, code) = failure(&line, &[("dir", dir.path())]);
    assert!(sentence.contains("--devices 4") && sentence.contains("--micro-batches"), "{sentence}");
    assert_eq!(code, 2);
}

#[test]
fn a_run_that_diverges_ends_on_all_devices() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    let line = format!("{SETTINGS} --out {{dir}}/run --devices 2 --lr 1e30 --clip 1e30");
    let (sentence, _) = failure(&line.replace("--lr 1e-2 ", ""), &[("dir", dir.path())]);
    assert!(sentence.contains("NaN or infinite"), "{sentence}");
}
