use std::fs;
use std::path::Path;

use boomerang_tests::commands::{boomerang, failure, write_distillation};
use boomerang_tests::{read, read_json};
use serde_json::Value;

const SETTINGS: &str = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --seq-len 16 \
                        --batch-size 2 --micro-batches 2 --device cpu --held-out 3 --out {dir}/run";

/// A learning rate that changes no weight, so that no measurement is better than the first.
const STILL: &str = "--lr 1e-30 --eval-every 1 --steps 9";

/// Steps that make the student worse from the second on.
const WORSE: &str = "--lr 1 --warmup 4 --eval-every 1 --steps 8 --save-every 1 --keep-best";

fn lines(dir: &Path) -> Vec<Value> {
    let text = String::from_utf8(read(dir.join("run/metrics.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn distilled(more: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    boomerang(&format!("{SETTINGS} {more}"), &[("dir", dir.path())]).unwrap();
    dir
}

#[test]
fn a_curve_goes_from_the_student_to_the_teacher() {
    let dir = distilled("--lr 1e-2 --steps 5 --eval-every 2 --curve-every 2 --curve-sizes 3");
    let lines = lines(dir.path());
    let measured: Vec<&Value> = lines.iter().filter(|line| line["curve"].is_array()).collect();
    let steps: Vec<u64> = measured.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [2, 4, 5]);
    for line in &measured {
        let points = line["curve"].as_array().unwrap();
        let layers: Vec<u64> =
            points.iter().map(|point| point["layers"].as_u64().unwrap()).collect();
        assert_eq!(layers, [4, 5, 6]);
        let losses: Vec<f64> = points.iter().map(|point| point["loss"].as_f64().unwrap()).collect();
        let of_student = line["held_out"]["ce"].as_f64().unwrap();
        assert!((losses[0] - of_student).abs() < 1e-6, "{} and {of_student}", losses[0]);
        assert_eq!(points[2], measured[0]["curve"][2], "the teacher has changed");
        let area = line["curve_area"].as_f64().unwrap();
        assert!((area - losses.iter().sum::<f64>() / 3.0).abs() < 1e-12);
    }
}

#[test]
fn several_devices_measure_the_curve_of_one() {
    let line = "--lr 1e-2 --steps 4 --curve-every 2 --keep-best";
    let [one, two] = ["", "--devices 2"].map(|devices| distilled(&format!("{line} {devices}")));
    let of = |dir: &tempfile::TempDir| {
        let lines = lines(dir.path());
        lines.iter().filter_map(|line| line["curve_area"].as_f64()).collect::<Vec<_>>()
    };
    let (one, two) = (of(&one), of(&two));
    assert_eq!(one.len(), 2);
    assert!(one.iter().zip(&two).all(|(a, b)| (a - b).abs() < 1e-4), "{one:?} and {two:?}");
}

#[test]
fn a_curve_with_a_streamed_teacher_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    let line = format!("{SETTINGS} --steps 2 --curve-every 1 --teacher-weights streamed");
    let (sentence, code) = failure(&line, &[("dir", dir.path())]);
    assert!(sentence.contains("--teacher-weights resident"), "{sentence}");
    assert_eq!(code, 2);
    assert!(!dir.path().join("run").exists());
}

#[test]
fn a_run_without_a_better_measurement_ends_early_with_a_student() {
    for devices in ["", "--devices 2"] {
        let dir = distilled(&format!("{STILL} --patience 3 {devices}"));
        assert_eq!(lines(dir.path()).len(), 4);
        assert!(dir.path().join("run/student/model.safetensors").exists());
    }
}

#[test]
fn a_resumed_run_remembers_how_long_it_has_waited() {
    let dir = distilled(&format!("{STILL} --patience 3 --stop-after 3"));
    let paths = [("dir", dir.path())];
    boomerang(&format!("{SETTINGS} {STILL} --patience 3 --resume"), &paths).unwrap();
    assert_eq!(lines(dir.path()).len(), 4);
    // It has ended; with more patience it continues.
    boomerang(&format!("{SETTINGS} {STILL} --patience 3 --resume"), &paths).unwrap();
    assert_eq!(lines(dir.path()).len(), 4);
    boomerang(&format!("{SETTINGS} {STILL} --patience 5 --resume"), &paths).unwrap();
    assert_eq!(lines(dir.path()).len(), 6);
}

/// The step of the best checkpoint, which has to be that of the least held-out loss.
fn best_step(dir: &Path) -> u64 {
    let loss = |line: &Value| line["held_out"]["loss"].as_f64().unwrap_or(f64::INFINITY);
    let lines = lines(dir);
    let least = lines.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
    let kept = read_json(dir.join("run/checkpoints/best/state.json"));
    assert_eq!(kept["step"], least["step"]);
    kept["step"].as_u64().unwrap()
}

#[test]
fn the_student_is_that_of_the_best_checkpoint_which_is_never_pruned() {
    let dir = distilled(WORSE);
    assert!(best_step(dir.path()) < 6, "this run was to get worse");
    let of = |path: &str| read(dir.path().join("run").join(path).join("model.safetensors"));
    assert!(of("student") == of("checkpoints/best"));
    assert!(of("student") != of("checkpoints/step-000008"));
    let names = fs::read_dir(dir.path().join("run/checkpoints")).unwrap();
    assert_eq!(names.count(), 3);
}

#[test]
fn a_best_checkpoint_that_a_crash_took_is_kept_again() {
    let dir = distilled(&format!("{WORSE} --stop-after 1"));
    let paths = [("dir", dir.path())];
    fs::remove_dir_all(dir.path().join("run/checkpoints/best")).unwrap();
    boomerang(&format!("{SETTINGS} {WORSE} --resume"), &paths).unwrap();
    assert!(best_step(dir.path()) < 6);
}

#[test]
fn a_damaged_best_checkpoint_is_named_and_the_run_still_ends_without_it() {
    let dir = distilled(&format!("{WORSE} --stop-after 8"));
    let paths = [("dir", dir.path())];
    let weights = dir.path().join("run/checkpoints/best/model.safetensors");
    let bytes = read(&weights);
    fs::remove_file(&weights).unwrap();
    fs::write(&weights, &bytes[1..]).unwrap();
    let (sentence, _) = failure(&format!("{SETTINGS} {WORSE} --resume"), &paths);
    assert!(sentence.contains("damaged") && sentence.contains("without --keep-best"), "{sentence}");
    let without = WORSE.replace("--keep-best", "");
    boomerang(&format!("{SETTINGS} {without} --resume"), &paths).unwrap();
}

#[test]
fn a_run_that_keeps_the_best_only_from_now_on_keeps_the_best_of_what_follows() {
    let without = WORSE.replace("--keep-best", "");
    let dir = distilled(&format!("{without} --stop-after 5"));
    boomerang(&format!("{SETTINGS} {WORSE} --resume"), &[("dir", dir.path())]).unwrap();
    let kept = read_json(dir.path().join("run/checkpoints/best/state.json"));
    let of = |step: u64| lines(dir.path())[step as usize - 1]["held_out"]["loss"].as_f64().unwrap();
    let kept = kept["step"].as_u64().unwrap();
    // Only the last measurement before has a checkpoint still.
    let least = (5..=8).min_by(|a, b| of(*a).total_cmp(&of(*b))).unwrap();
    assert_eq!(kept, least);
}
