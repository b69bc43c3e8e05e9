//! One student trained by several processes, which an installed `mpirun` starts.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use boomerang_tests::commands::{boomerang, write_distillation, write_ids};
use boomerang_tests::read;
use serde_json::Value;

use crate::rollback;

const SETTINGS: &str = "distill --teacher {dir}/teacher --seq-len 16 --batch-size 2 \
                        --micro-batches 3 --lr 1e-2 --save-every 2 --device cpu --out {dir}/ranks";

/// `mpirun` with a program for each rank; `{dir}` stands for the folder.
fn mpirun(programs: &[String], dir: &Path) -> Command {
    let mut command = Command::new("mpirun");
    for (rank, program) in programs.iter().enumerate() {
        let separator = if rank > 0 { vec![":"] } else { Vec::new() };
        let program = program.replace("{dir}", &dir.to_string_lossy());
        command.args(separator).args(["-n", "1"]).args(program.split_whitespace());
    }
    command
        // A test may be root's, with fewer cores than ranks, on a machine that cannot reach others.
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .env("OMPI_MCA_plm", "isolated")
        .env("OMPI_MCA_btl", "self,vader")
        .env("OMPI_MCA_btl_vader_single_copy_mechanism", "none")
        .stdin(Stdio::null());
    command
}

/// As many ranks with the same arguments.
fn ranks(n: usize, line: &str) -> Vec<String> {
    vec![format!("{} {line}", env!("CARGO_BIN_EXE_boomerang-under-test")); n]
}

fn run(programs: &[String], dir: &Path) -> (bool, String) {
    let Output { status, stdout, stderr } = mpirun(programs, dir).output().unwrap();
    let text = String::from_utf8_lossy(&stderr) + String::from_utf8_lossy(&stdout);
    (status.success(), text.into_owned())
}

fn losses(run: &Path) -> Vec<f64> {
    let text = String::from_utf8(read(run.join("metrics.jsonl"))).unwrap();
    let numbers = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        ["loss", "grad_norm", "tokens"].map(|key| line[key].as_f64().unwrap())
    };
    text.lines().flat_map(numbers).collect()
}

fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let difference = (found - expected).abs() / expected.abs().max(1.0);
        assert!(difference < 1e-4, "{found} instead of {expected}");
    }
}

/// The losses of one process, in a folder with a teacher and data.
fn alone(dir: &Path, settings: &str) -> Vec<f64> {
    write_distillation(dir);
    let line = format!("{settings} --data {{dir}}/data.jsonl");
    boomerang(&line.replace("/ranks", "/alone"), &[("dir", dir)]).unwrap();
    losses(&dir.join("alone"))
}

#[test]
fn two_and_three_ranks_take_the_steps_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let expected = alone(dir.path(), &format!("{SETTINGS} --steps 4"));
    for n in [2, 3] {
        let line = format!("{SETTINGS} --steps 4 --data {{dir}}/data.jsonl --force");
        let (succeeded, text) = run(&ranks(n, &line), dir.path());
        assert!(succeeded, "{text}");
        // One of them speaks for all.
        assert_eq!(text.matches("student written to").count(), 1, "{text}");
        assert!(text.contains(&format!("{n} ranks share")), "{text}");
        assert_close(&losses(&dir.path().join("ranks")), &expected);
    }
}

#[test]
fn ranks_with_other_data_or_settings_are_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    fs::create_dir(dir.path().join("other")).unwrap();
    write_ids(&dir.path().join("other/data.jsonl"), 12, 16);
    let line = format!("{SETTINGS} --steps 4 --data {{dir}}/data.jsonl");
    let others = [
        (line.replace("{dir}/data", "{dir}/other/data"), "data"),
        (line.replace("--lr 1e-2", "--lr 1e-3"), "peak"),
    ];
    for (other, key) in others {
        let programs = [ranks(1, &line), ranks(1, &other)].concat();
        let (succeeded, text) = run(&programs, dir.path());
        assert!(!succeeded, "{text}");
        assert!(text.contains("boomerang: rank 1 has ") && text.contains(key), "{text}");
        assert!(!dir.path().join("ranks").exists());
    }
}

#[test]
fn a_killed_rank_ends_the_job_and_the_run_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("{SETTINGS} --steps 3000 --save-every 1 --data {{dir}}/data.jsonl");
    write_distillation(dir.path());
    let mut programs = ranks(2, &line.replace("--save-every 2 ", ""));
    // A shell that becomes the rank has its number.
    let script = dir.path().join("rank.sh");
    fs::write(&script, "echo $$ > \"$1\"; shift; exec \"$@\"\n").unwrap();
    programs[1] = format!("sh {} {{dir}}/pid {}", script.display(), programs[1]);
    let mut command = mpirun(&programs, dir.path());
    let job = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let checkpoints = dir.path().join("ranks/checkpoints");
    let n_saved = || fs::read_dir(&checkpoints).map_or(0, |entries| entries.flatten().count());
    while n_saved() < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = String::from_utf8(read(dir.path().join("pid"))).unwrap();
    assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
    let Output { status, stderr, .. } = job.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&stderr);
    assert!(!status.success() && text.contains("Killed"), "{text}");

    let first = losses(&dir.path().join("ranks")).len() / 3;
    assert!((1..3000).contains(&first), "{first} steps");
    let more = format!("--resume --stop-after {}", first + 3);
    let resumed = ranks(2, &format!("{} {more}", line.replace("--save-every 2 ", "")));
    let (succeeded, text) = run(&resumed, dir.path());
    assert!(succeeded && text.contains("resuming after step"), "{text}");
    let expected = format!("{SETTINGS} --steps 3000 --stop-after {}", first + 3);
    assert_close(&losses(&dir.path().join("ranks")), &alone(dir.path(), &expected));
}

#[test]
fn ranks_roll_back_together() {
    let dir = rollback::folder(12);
    let line = format!("{} {}", rollback::SETTINGS, rollback::ROLLBACK);
    let (succeeded, text) = run(&ranks(2, &format!("{line} --out {{dir}}/ranks")), dir.path());
    assert!(succeeded, "{text}");
    assert_eq!(text.matches("rolling back to step 24 (1 of 3)").count(), 1, "{text}");
    boomerang(&format!("{line} --out {{dir}}/alone"), &[("dir", dir.path())]).unwrap();
    let [ranks, alone] = ["ranks", "alone"].map(|run| losses(&dir.path().join(run)));
    assert_close(&ranks, &alone);
}

#[test]
fn ranks_end_early_together() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    let line = format!(
        "{SETTINGS} --steps 9 --data {{dir}}/data.jsonl --held-out 3 --eval-every 1 --patience 3"
    );
    let line = line.replace("--lr 1e-2", "--lr 1e-30");
    let (succeeded, text) = run(&ranks(2, &line), dir.path());
    assert!(succeeded && text.contains("stopped early"), "{text}");
    assert_eq!(losses(&dir.path().join("ranks")).len(), 3 * 4);
}

#[test]
fn more_ranks_than_micro_batches_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_distillation(dir.path());
    let line = format!("{SETTINGS} --data {{dir}}/data.jsonl");
    let (succeeded, text) = run(&ranks(4, &line), dir.path());
    assert!(!succeeded && text.contains("raise --micro-batches"), "{text}");
}
