use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{boomerang, failure, write_distillation, write_ids, write_model};
use boomerang_tests::{read, tiny_config, tiny_model};

const SETTINGS: &str = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --seq-len 16 \
                        --rows 2 --micro-batches 2 --lr 1e-2 --save-every 4 --device cpu";

fn student(dir: &Path, run: &str) -> Vec<u8> {
    read(dir.join(run).join("student/model.safetensors"))
}

#[test]
fn twenty_steps_equal_ten_and_a_resume_and_ten() {
    twenty_steps_are_ten_and_ten("");
}

#[test]
fn so_they_do_with_every_lever_on() {
    twenty_steps_are_ten_and_ten(
        "--recompute always --teacher-weights streamed --optimizer host --head-chunk 3 --query-block 5",
    );
}

fn twenty_steps_are_ten_and_ten(levers: &str) {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    boomerang(&format!("{SETTINGS} {levers} --steps 20 --out {{dir}}/whole"), &paths).unwrap();
    let halves = format!("{SETTINGS} {levers} --steps 20 --out {{dir}}/halves");
    boomerang(&format!("{halves} --stop-after 10"), &paths).unwrap();
    boomerang(&format!("{halves} --resume"), &paths).unwrap();
    assert!(student(dir.path(), "whole") == student(dir.path(), "halves"));
    let without_speed = |run: &str| {
        let text = String::from_utf8(read(dir.path().join(run).join("metrics.jsonl"))).unwrap();
        let lines = text.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("tokens_per_second");
            line
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(without_speed("whole"), without_speed("halves"));
    assert_eq!(without_speed("whole").len(), 20);
}

#[test]
fn a_dry_run_writes_nothing_and_a_probe_takes_its_steps() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    let run = |more: &str| {
        let line = format!("{SETTINGS} --steps 20 --out {{dir}}/run --dry-run {more}");
        boomerang(&line, &[("dir", dir.path())])
    };
    run("").unwrap();
    run("--probe 3").unwrap();
    assert!(!dir.path().join("run").exists());
    // Without --dry-run there is nothing to probe.
    let line = format!("{SETTINGS} --steps 20 --out {{dir}}/run --probe 3");
    assert!(boomerang(&line, &[("dir", dir.path())]).is_err());
}

#[test]
fn a_budget_below_what_a_step_takes_is_refused_with_ways_out() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    let line = format!("{SETTINGS} --out {{dir}}/run --memory 100MB");
    let (sentence, code) = failure(&line, &[("dir", dir.path())]);
    assert!(sentence.contains("--memory allows 0.10 GB"), "{sentence}");
    for way in ["--freeze embedding", "--keep-every", "--memory 1GB"] {
        assert!(sentence.contains(way), "{way}: {sentence}");
    }
    assert_eq!(code, 4);
    assert!(!dir.path().join("run").exists());
}

#[test]
fn a_resume_with_other_settings_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    let run = format!("{SETTINGS} --steps 8 --out {{dir}}/run");
    boomerang(&format!("{run} --stop-after 4"), &paths).unwrap();
    let (message, code) = failure(&format!("{run} --resume --kl-weight 0.5"), &paths);
    assert!(message.contains("kl = 0.1, this command has 0.5"), "{message}");
    assert_eq!(code, 2);
}

#[test]
fn a_resume_with_other_contents_under_the_same_names_is_refused() {
    for change in ["teacher", "data.jsonl"] {
        let dir = tempfile::tempdir().unwrap();
        let paths = [("dir", dir.path())];
        write_distillation(dir.path());
        let run = format!("{SETTINGS} --steps 8 --out {{dir}}/run");
        boomerang(&format!("{run} --stop-after 4"), &paths).unwrap();
        match change {
            "teacher" => {
                write_model(&tiny_model(&tiny_config(), 2, &cpu()), &dir.path().join(change));
            }
            _ => write_ids(&dir.path().join(change), 11, 15),
        }
        let (message, code) = failure(&format!("{run} --resume"), &paths);
        assert!(message.contains("fingerprints"), "{message}");
        assert!(message.contains("--allow-mismatch"), "{message}");
        assert_eq!(code, 2);
        boomerang(&format!("{run} --resume --allow-mismatch"), &paths).unwrap();
    }
}

/// A learning rate with which no model survives.
const DIVERGING: &str = "--lr 1e30 --warmup 1";

#[test]
fn a_run_that_diverged_after_a_checkpoint_is_resumed_from_it_with_a_smaller_rate() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    let run = format!("{SETTINGS} --steps 12 --out {{dir}}/run");
    boomerang(&format!("{run} --stop-after 4"), &paths).unwrap();
    let diverging = format!("{run} {DIVERGING} --save-every 100 --resume --allow-mismatch");
    let (message, code) = failure(&diverging.replace("--lr 1e-2 --save-every 4", ""), &paths);
    assert_eq!(code, 6, "{message}");
    assert!(message.contains("step 4 with --resume --allow-mismatch"), "{message}");
    boomerang(&format!("{run} --resume --allow-mismatch"), &paths).unwrap();
}

#[test]
fn a_run_that_diverged_before_a_checkpoint_is_started_over() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    let run = format!("{SETTINGS} --steps 12 --out {{dir}}/run");
    let diverging = format!("{run} {DIVERGING} --save-every 100");
    let (message, code) = failure(&diverging.replace("--lr 1e-2 --save-every 4", ""), &paths);
    assert_eq!(code, 6, "{message}");
    assert!(message.contains("no checkpoint yet; start over with --force"), "{message}");
    boomerang(&format!("{run} --force"), &paths).unwrap();
}

#[test]
fn a_run_that_exists_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    let run = format!("{SETTINGS} --steps 2 --out {{dir}}/run");
    boomerang(&run, &paths).unwrap();
    let before = student(dir.path(), "run");
    let (message, code) = failure(&run, &paths);
    assert!(message.contains("--resume") && message.contains("--force"), "{message}");
    assert_eq!(code, 2);
    assert!(student(dir.path(), "run") == before);
}

#[test]
fn a_run_that_was_killed_goes_on_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("dir", dir.path())];
    write_distillation(dir.path());
    boomerang(&format!("{SETTINGS} --steps 400 --out {{dir}}/whole"), &paths).unwrap();

    let line = format!("{SETTINGS} --steps 400 --out {{dir}}/killed");
    let words =
        line.split_whitespace().map(|word| word.replace("{dir}", &dir.path().to_string_lossy()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Killed after its first checkpoint, in the middle of whatever it does then.
    let checkpoints = dir.path().join("killed/checkpoints");
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::read_dir(&checkpoints).map_or(0, Iterator::count) < 2 {
        assert!(Instant::now() < deadline, "no checkpoint within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!dir.path().join("killed/student").exists(), "it was killed too late to matter");

    boomerang(&format!("{line} --resume"), &paths).unwrap();
    assert!(student(dir.path(), "whole") == student(dir.path(), "killed"));
}
