use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use boomerang_native_trainer::device::cpu;
use boomerang_tests::commands::{boomerang, failure, write_ids, write_model};
use boomerang_tests::{fixtures, read, tiny_config, tiny_model};

/// Every command that writes, without its output, and what it reads: flags aside, also the parents of
/// a recipe and the files of a cache.
const COMMANDS: [(&str, &[&str]); 15] = [
    ("prune --teacher {dir}/teacher", &["teacher"]),
    (
        "prune --teacher {dir}/teacher --baseline shortgpt --layers 4 --calibration {dir}/a.jsonl \
         --device cpu",
        &["teacher", "a.jsonl"],
    ),
    (
        "distill --teacher {dir}/teacher --student {dir}/student --data {dir}/a.jsonl --data \
         {dir}/b.jsonl --seq-len 8 --rows 1 --steps 1 --device cpu",
        &["teacher", "student", "a.jsonl", "b.jsonl"],
    ),
    (
        "analyze --teacher {dir}/teacher --student {dir}/student --calibration {dir}/a.jsonl \
         --device cpu",
        &["teacher", "student", "a.jsonl"],
    ),
    (
        "search --teacher {dir}/teacher --student {dir}/student --calibration {dir}/a.jsonl \
         --order {dir}/order.json --device cpu",
        &["teacher", "student", "a.jsonl", "order.json"],
    ),
    (
        "patch --teacher {dir}/teacher --student {dir}/student --order {dir}/order.json --k 1",
        &["teacher", "student", "order.json"],
    ),
    (
        "patch --teacher {dir}/teacher --student {dir}/student --params 1B --calibration \
         {dir}/a.jsonl --device cpu",
        &["teacher", "student", "a.jsonl"],
    ),
    (
        "patch --teacher {dir}/teacher --student {dir}/student --k 1 --format recipe",
        &["teacher", "student"],
    ),
    (
        "patch --teacher {dir}/teacher --student {dir}/student --k 1 --format gguf",
        &["teacher", "student"],
    ),
    (
        "patch --teacher {dir}/teacher.gguf --student {dir}/student.gguf --k 1",
        &["teacher.gguf", "student.gguf"],
    ),
    ("export {dir}/teacher", &["teacher", "teacher/model.safetensors", "teacher/config.json"]),
    ("export {dir}/member.recipe.json", &["member.recipe.json", "teacher", "student"]),
    (
        "eval --teacher {dir}/teacher --student {dir}/student --data {dir}/a.jsonl --also-order \
         {dir}/order.json --random-student {dir}/random --use_cache {dir}/cache --device cpu",
        &["teacher", "student", "a.jsonl", "order.json", "random", "cache"],
    ),
    (
        "bundle --teacher {dir}/teacher --student {dir}/student --eval {dir}/eval --task \
         {dir}/task.json --calibration {dir}/a.jsonl --record 0 --device cpu",
        &["teacher", "student", "eval", "task.json"],
    ),
    (
        "report {dir}/eval --analysis {dir}/analysis --search {dir}/order.json",
        &["eval", "analysis", "order.json"],
    ),
];

/// A folder with everything that the commands read, written by Boomerang itself wherever it can be, so
/// that `--force` alone would not spare it.
fn prepare(dir: &Path) {
    let run = |line: &str| boomerang(line, &[("dir", dir)]).unwrap();
    write_model(&tiny_model(&tiny_config(), 1, &cpu()), &dir.join("plain"));
    let tokenizer = fixtures().join("../../assets/teacher/tokenizer.json");
    fs::copy(tokenizer, dir.join("plain/tokenizer.json")).unwrap();
    run("prune --teacher {dir}/plain --out {dir}/plain-student");
    // Members are Boomerang's own folders; the largest is the teacher.
    run("patch --teacher {dir}/plain --student {dir}/plain-student --layers 6 --out {dir}/teacher");
    run("prune --teacher {dir}/teacher --out {dir}/student");
    run("prune --teacher {dir}/teacher --out {dir}/random");
    write_ids(&dir.join("a.jsonl"), 3, 12);
    write_ids(&dir.join("b.jsonl"), 3, 12);
    for name in ["teacher", "student"] {
        run(&format!("export {{dir}}/{name} --out {{dir}}/{name}.gguf"));
    }
    let family = "--teacher {dir}/teacher --student {dir}/student";
    run(&format!("patch {family} --k 1 --format recipe --out {{dir}}/member.recipe.json"));
    let calibration = "--calibration {dir}/a.jsonl --device cpu";
    run(&format!("search {family} {calibration} --method first --out {{dir}}/order.json"));
    run(&format!("analyze {family} {calibration} --out {{dir}}/analysis"));
    run(&format!(
        "eval {family} --data {{dir}}/a.jsonl --use_cache {{dir}}/cache --device cpu --out {{dir}}/eval"
    ));
    fs::write(dir.join("task.json"), TASK).unwrap();
    fs::create_dir(dir.join("links")).unwrap();
}

const TASK: &str = r#"{"name": "t", "paragraph": "2 + 3", "questions": [
    {"task": "t", "context": "1 +", "choices": [" 2", " 3"], "gold": 0}]}"#;

/// Every file below a folder, with its bytes, but for answers that a cache gains.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), read(&path));
        }
    }
    found
}

#[test]
fn no_output_takes_the_place_of_an_input() {
    let dir = tempfile::tempdir().unwrap();
    // One level down, so that the folder of all inputs has a name of its own.
    let dir = dir.path().join("work");
    fs::create_dir(&dir).unwrap();
    prepare(&dir);
    let before = contents(&dir);
    for (command, inputs) in COMMANDS {
        for input in inputs {
            let is_folder = dir.join(input).is_dir();
            let inside = is_folder.then(|| format!("{input}/new"));
            let outputs = [Some((*input).to_owned()), Some(String::new()), inside];
            for output in outputs.into_iter().flatten() {
                let line = format!("{command} --force --out {{dir}}/{output}");
                let (message, code) = failure(&line, &[("dir", &dir)]);
                assert_eq!(code, 2, "{line}: {message}");
                let is_named = message.contains("which this command reads")
                    || output.is_empty() && message.contains("is a folder");
                assert!(is_named, "{line}: {message}");
            }
        }
    }
    assert!(contents(&dir) == before, "an input has changed");
}

#[cfg(unix)]
#[test]
fn no_output_takes_the_place_of_an_input_by_another_name() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("work");
    fs::create_dir(&dir).unwrap();
    prepare(&dir);
    for (command, inputs) in COMMANDS {
        for input in inputs {
            let name = input.replace('/', "-");
            let link = dir.join("links").join(&name);
            if !link.is_symlink() {
                symlink(dir.join(input), &link).unwrap();
            }
            let outputs = [
                format!("links/{name}"),
                format!("links/../{input}"),
                format!("eval/../links/../{input}/."),
            ];
            for output in outputs {
                let line = format!("{command} --force --out {{dir}}/{output}");
                let (message, code) = failure(&line, &[("dir", &dir)]);
                assert_eq!(code, 2, "{line}: {message}");
                assert!(dir.join(input).exists() && link.is_symlink(), "{line}");
            }
            // Read through the link, written to what it leads to.
            let through_link =
                command.replace(&format!("{{dir}}/{input}"), &format!("{{dir}}/links/{name}"));
            if through_link != command {
                let line = format!("{through_link} --force --out {{dir}}/{input}");
                let (message, code) = failure(&line, &[("dir", &dir)]);
                assert_eq!(code, 2, "{line}: {message}");
            }
        }
    }
}

#[test]
fn force_overwrites_nothing_that_somebody_else_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir);
    fs::create_dir(dir.join("mine")).unwrap();
    fs::write(dir.join("mine/thesis.tex"), "mine").unwrap();
    for (command, _) in COMMANDS {
        for output in ["mine", "mine/thesis.tex"] {
            let line = format!("{command} --force --out {{dir}}/{output}");
            let (message, code) = failure(&line, &[("dir", dir)]);
            assert_eq!(code, 2, "{line}: {message}");
        }
    }
    assert_eq!(read(dir.join("mine/thesis.tex")), b"mine");
}

#[test]
fn force_overwrites_what_the_same_command_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir);
    for (number, (command, _)) in COMMANDS.into_iter().enumerate() {
        if command.starts_with("bundle") {
            // Its task and texts need a model with the tokenizer's vocabulary.
            continue;
        }
        let line = format!("{command} --out {{dir}}/out-{number}");
        boomerang(&line, &[("dir", dir)]).unwrap_or_else(|error| panic!("{line}: {error:#}"));
        let (message, code) = failure(&line, &[("dir", dir)]);
        assert!(code == 2 && message.contains("--force"), "{line}: {message}");
        let line = format!("{line} --force");
        boomerang(&line, &[("dir", dir)]).unwrap_or_else(|error| panic!("{line}: {error:#}"));
    }
}
