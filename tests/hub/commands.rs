use std::fs;
use std::process::{Command, Output};

use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::files::ModelFolder;
use boomerang_tests::commands::write_family;
use boomerang_tests::hub::{REPO, commit};
use boomerang_tests::{read, read_json};

use super::{Bench, CONFIG, WEIGHTS, names};

/// The tiny family as two models that the Hub could have: files by name.
fn published() -> [Vec<(String, Vec<u8>)>; 2] {
    let dir = tempfile::tempdir().unwrap();
    let family = write_family(dir.path());
    // As published students have it: both lists, and nothing that only we would write.
    let plan = r#"{"pruned_teacher_layers": [1, 3], "copied_teacher_layers": [0, 2, 4, 5]}"#;
    assert_eq!(family.plan().kept(), [0, 2, 4, 5]);
    fs::write(dir.path().join("student/student_config.json"), plan).unwrap();
    ["teacher", "student"].map(|name| {
        let folder = dir.path().join(name);
        names(&folder).into_iter().map(|name| (name.clone(), read(folder.join(name)))).collect()
    })
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
}

#[test]
fn a_published_model_opens_with_its_plan() {
    let [_, student] = published();
    let bench = Bench::new(&borrowed(&student));
    let folder = ModelFolder::open(&bench.folder()).unwrap();
    assert_eq!(folder.plan().unwrap().unwrap().kept(), [0, 2, 4, 5]);
    folder.student(&cpu()).unwrap();
}

/// `boomerang`, as a program of its own with an environment of its own.
fn boomerang(bench: &Bench, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_boomerang-under-test"))
        .args(arguments)
        .current_dir(bench.home.path())
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        // A server on this machine is not asked through a proxy.
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("HF_HOME", bench.home.path())
        .env("HF_ENDPOINT", bench.server.url())
        .env("HF_TOKEN", "hf_right")
        .output()
        .unwrap()
}

fn output_of(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn commands_take_an_id_in_place_of_a_folder() {
    let [teacher, student] = published();
    let bench = Bench::new(&borrowed(&teacher));
    bench.server.change(|model| {
        model.commit("student", 2, &borrowed(&student));
        model.token = Some("hf_right".to_owned());
    });
    let ids = ["--teacher", REPO, "--student", "owner/tiny@student"];
    let rest = ["--k", "1", "--format", "recipe", "--out", "r.json"];
    output_of(boomerang(&bench, &[&["patch"][..], &ids, &rest].concat()));
    // The recipe knows where its parents are, and does not need the Hub.
    let recipe = read_json(bench.home.path().join("r.json"));
    let folder = bench.repo().join("snapshots").join(commit(2));
    assert_eq!(recipe["student"]["folder"], folder.display().to_string());
    let n_asked = bench.server.asked().len();
    let found = output_of(boomerang(&bench, &["inspect", "r.json"]));
    assert!(found.contains("layers       5\n"), "{found}");
    assert_eq!(bench.server.asked().len(), n_asked);
}

#[test]
fn get_prints_the_folder_and_list_what_is_there() {
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"w")]);
    let printed = output_of(boomerang(&bench, &["hub", "get", REPO]));
    let folder = bench.repo().join("snapshots").join(commit(1));
    assert_eq!(printed, format!("{}\n", folder.display()));
    let listed = output_of(boomerang(&bench, &["hub", "list"]));
    assert_eq!(listed, "owner/tiny             3 bytes  complete\n");
    fs::remove_file(folder.join(WEIGHTS)).unwrap();
    let listed = output_of(boomerang(&bench, &["hub", "list"]));
    let expected = "owner/tiny             2 bytes  incomplete, missing model.safetensors\n";
    assert_eq!(listed, expected);
}

#[test]
fn a_command_ends_with_7_when_the_hub_does_not_give_the_model() {
    let bench = Bench::new(&[(CONFIG, b"{}"), (WEIGHTS, b"w")]);
    let output = boomerang(&bench, &["inspect", "owner/other"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("boomerang: owner/other is not a local folder: "), "{said}");
    assert_eq!(output.status.code(), Some(7));
    assert!(!said.contains("hf_right"), "{said}");
}
