use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{boomerang, write_ids, write_model};
use boomerang_tests::{read, tiny_config, tiny_model};

/// `boomerang` as a process of its own.
fn start(line: &str, dir: &Path) -> Child {
    let words = line.split_whitespace().map(|word| word.replace("{dir}", &dir.to_string_lossy()));
    Command::new(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn prepare(dir: &Path) {
    write_model(&tiny_model(&tiny_config(), 1, &cpu()), &dir.join("teacher"));
    boomerang("prune --teacher {dir}/teacher --out {dir}/student", &[("dir", dir)]).unwrap();
    write_ids(&dir.join("data.jsonl"), 5, 16);
}

/// Names that a killed writer leaves, anywhere below a folder.
fn leftovers(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".partial") {
            found.push(name);
        } else if path.is_dir() {
            found.extend(leftovers(&path));
        }
    }
    found
}

#[test]
fn a_killed_command_leaves_its_output_whole_or_absent_and_the_next_run_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir);
    let inputs = ["teacher/model.safetensors", "student/model.safetensors", "data.jsonl"];
    let before = inputs.map(|name| read(dir.join(name)));
    let family = "--teacher {dir}/teacher --student {dir}/student";
    let commands = [
        ("prune --teacher {dir}/teacher".to_owned(), "model.safetensors"),
        (format!("patch {family} --k 1"), "recipe.json"),
        (format!("patch {family} --k 1 --format gguf"), ""),
        ("export {dir}/teacher".to_owned(), ""),
        (format!("eval {family} --data {{dir}}/data.jsonl --device cpu"), "curve.json"),
        // Of the evaluation before it.
        ("report {dir}/out-4".to_owned(), "report.html"),
        (format!("search {family} --calibration {{dir}}/data.jsonl --device cpu"), ""),
        ("trace --model {dir}/teacher --ids 1,2,3 --device cpu".to_owned(), ""),
        (
            format!("analyze {family} --calibration {{dir}}/data.jsonl --device cpu"),
            "analysis.json",
        ),
    ];
    for (number, (command, last)) in commands.iter().enumerate() {
        let line = format!("{command} --force --out {{dir}}/out-{number}");
        let target = dir.join(format!("out-{number}"));
        boomerang(&line, &[("dir", dir)]).unwrap();
        let file = if last.is_empty() { target.clone() } else { target.join(last) };
        let whole = read(&file);
        for millis in [2, 5, 9, 14, 20, 27, 35, 60] {
            let mut child = start(&line, dir);
            std::thread::sleep(Duration::from_millis(millis));
            child.kill().unwrap();
            child.wait().unwrap();
            // Between two renames the folder has a hidden name, and the next run gives it back.
            if target.exists() && *last != "curve.json" {
                assert!(read(&file) == whole, "{line}, after {millis} ms");
            }
        }
        boomerang(&line, &[("dir", dir)]).unwrap();
        assert!(file.exists());
        assert!(leftovers(dir).is_empty(), "{line}: {:?}", leftovers(dir));
    }
    assert!(inputs.map(|name| read(dir.join(name))) == before);
}

#[test]
fn two_resumes_of_one_run_make_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir);
    let line = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --seq-len 16 --rows 2 \
                --steps 60 --save-every 10 --device cpu --out {dir}/run";
    boomerang(&format!("{line} --stop-after 10"), &[("dir", dir)]).unwrap();
    let resume = format!("{line} --resume");
    let mut children = [start(&resume, dir), start(&resume, dir)];
    let codes = children.each_mut().map(|child| child.wait().unwrap().code());
    assert!(codes.contains(&Some(0)), "{codes:?}");
    let text = String::from_utf8(read(dir.join("run/metrics.jsonl"))).unwrap();
    let steps: Vec<u64> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(steps, (1..=60).collect::<Vec<_>>());
}

#[test]
fn a_run_that_is_killed_again_and_again_loses_no_step() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir);
    let line = "distill --teacher {dir}/teacher --data {dir}/data.jsonl --seq-len 16 --rows 2 \
                --steps 60 --save-every 3 --device cpu --out {dir}/run";
    for millis in [40, 90, 60, 130, 75] {
        let is_begun = dir.join("run/settings.json").exists();
        let mut child = start(&format!("{line} {}", if is_begun { "--resume" } else { "" }), dir);
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let is_begun = dir.join("run/settings.json").exists();
    boomerang(&format!("{line} {}", if is_begun { "--resume" } else { "" }), &[("dir", dir)])
        .unwrap();
    let text = String::from_utf8(read(dir.join("run/metrics.jsonl"))).unwrap();
    assert_eq!(text.lines().count(), 60);
    assert!(leftovers(dir).is_empty(), "{:?}", leftovers(dir));
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_printed_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir);
    for words in [&["inspect", "teacher", "--json"][..], &["--help"], &["doctor"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let status = Command::new(env!("CARGO_BIN_EXE_boomerang-under-test"))
            .args(words)
            .current_dir(dir)
            .stdout(full)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(5), "{words:?}");
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(["inspect", "teacher", "--json"])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_ne!(child.wait().unwrap().code(), Some(0));
}
