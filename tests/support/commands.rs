//! Commands, run in this process as a user would type them.

use std::path::Path;

use boomerang_core::checkpoint::{Precision, model_to_bytes};
use boomerang_core::model::LanguageModel;
use boomerang_core::prune::{Family, StudentConfig};
use boomerang_native_trainer::device::cpu;
use boomerang_native_trainer::{Cli, exit, run};
use clap::Parser as _;

use crate::{tiny_config, tiny_family, tiny_model};

/// Runs `boomerang` with the words of `line`; `{name}` stands for a path.
///
/// # Errors
/// The command's own.
pub fn boomerang(line: &str, paths: &[(&str, &Path)]) -> anyhow::Result<()> {
    let words = line.split_whitespace().map(|word| {
        paths.iter().fold(word.to_owned(), |word, (name, path)| {
            word.replace(&format!("{{{name}}}"), &path.to_string_lossy())
        })
    });
    run(Cli::try_parse_from(["boomerang".to_owned()].into_iter().chain(words))?)
}

/// The sentence and the exit code of a command that has to fail.
pub fn failure(line: &str, paths: &[(&str, &Path)]) -> (String, u8) {
    match boomerang(line, paths) {
        Ok(()) => panic!("`boomerang {line}` succeeded"),
        Err(error) => (exit::describe(&error), exit::code_of(&error).code()),
    }
}

/// What a short distillation reads, in `dir`: the folder `teacher` and rows of ids in `data.jsonl`.
pub fn write_distillation(dir: &Path) {
    write_model(&tiny_model(&tiny_config(), 1, &cpu()), &dir.join("teacher"));
    write_ids(&dir.join("data.jsonl"), 11, 16);
}

/// A model as a folder that commands read.
pub fn write_model(model: &LanguageModel, folder: &Path) {
    std::fs::create_dir_all(folder).expect("a temporary folder can be written");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).expect("a temporary folder can be written");
    };
    write("config.json", model.config().to_json().as_bytes());
    write("model.safetensors", &model_to_bytes(model, Precision::F32).expect("a named model"));
}

/// The tiny family as the folders `teacher` and `student`; the student does not say which layers it
/// keeps.
pub fn write_family(folder: &Path) -> Family {
    let family = tiny_family(&cpu());
    write_model(family.teacher().model(), &folder.join("teacher"));
    write_model(family.student().model(), &folder.join("student"));
    family
}

/// As [`write_family`], with the student's `student_config.json`.
pub fn write_planned_family(folder: &Path) -> Family {
    let family = write_family(folder);
    std::fs::write(
        folder.join("student/student_config.json"),
        StudentConfig::of(family.plan()).to_json(),
    )
    .expect("a temporary folder can be written");
    family
}

/// Rows of token ids, as `.jsonl`.
pub fn write_ids(path: &Path, n_rows: usize, seq: usize) {
    let line = |row: usize| {
        let ids: Vec<usize> = (0..seq).map(|position| (row * 7 + position * 5) % 31).collect();
        format!("{{\"input_ids\": {ids:?}}}\n")
    };
    let text: String = (0..n_rows).map(line).collect();
    std::fs::write(path, text).expect("a temporary folder can be written");
}
