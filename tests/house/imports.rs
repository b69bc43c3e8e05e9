//! Which folders of the trainer and of the page import which.

use std::path::Path;

use boomerang_tests::root;

use super::{sources, text, without_tests};

/// The trainer's folders and files; each imports only those before it, and itself.
const TRAINER: [&str; 19] = [
    "allocator",
    "progress",
    "exit",
    "memory",
    "files",
    "device",
    "args",
    "parallel",
    "train",
    "measure",
    "sizes",
    "embedded",
    "serve",
    "cli_examples",
    "commands",
    "cli",
    "config",
    "logger",
    "lib",
];

/// What a path below `src` belongs to: `commands` of `commands/eval/mod.rs`.
fn part(path: &Path, source: &Path) -> String {
    let below = path.strip_prefix(source).unwrap().to_string_lossy().replace('\\', "/");
    below.split(['/', '.']).next().unwrap().to_owned()
}

/// The names after `crate::` in a file, without its tests.
fn imported(source: &str) -> impl Iterator<Item = &str> {
    without_tests(source)
        .split("crate::")
        .skip(1)
        .map(|rest| rest.split(|char: char| !char.is_alphanumeric() && char != '_').next().unwrap())
}

fn wrong_imports(source: &Path, order: &[&str]) -> Vec<String> {
    let rank = |name: &str| order.iter().position(|part| *part == name);
    let mut wrong = Vec::new();
    for file in sources(source) {
        let own = part(&file, source);
        if own == "main" {
            continue;
        }
        let own_rank = rank(&own).unwrap_or_else(|| panic!("{own} has no rank"));
        for name in imported(&text(&file)) {
            // A macro or an item of the crate's root has no rank.
            if rank(name).is_some_and(|rank| rank > own_rank) {
                wrong.push(format!("{} imports {name}", file.display()));
            }
        }
    }
    wrong
}

#[test]
fn the_trainers_folders_import_in_one_direction() {
    let wrong = wrong_imports(&root().join("native-trainer/src"), &TRAINER);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The page's folders, each importing only those before it, and itself.
const PAGE: [&str; 8] = ["family", "text", "browser", "state", "components", "views", "app", "lib"];

#[test]
fn the_pages_folders_import_in_one_direction() {
    let wrong = wrong_imports(&root().join("web/src"), &PAGE);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The npm package's files, each importing only those before it, and itself.
const DIAL: [&str; 11] = [
    "failure",
    "types",
    "values",
    "options",
    "abort",
    "connection",
    "generation",
    "family",
    "load",
    "element",
    "lib",
];

#[test]
fn the_packages_files_import_in_one_direction() {
    let wrong = wrong_imports(&root().join("web/dial/src"), &DIAL);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_command_imports_another() {
    let commands = root().join("native-trainer/src/commands");
    for file in sources(&commands) {
        let own = part(&file, &commands);
        let source = text(&file);
        let source = without_tests(&source);
        for other in source.split("crate::commands::").skip(1) {
            let other = other.split([':', ';']).next().unwrap();
            assert_eq!(other, own, "{} imports {other}", file.display());
        }
        let depth = file.strip_prefix(&commands).unwrap().components().count();
        let beside = if depth == 1 { "use super::" } else { "use super::super::" };
        let is_beside = source.lines().find(|line| line.trim_start().starts_with(beside));
        assert_eq!(is_beside, None, "{}", file.display());
    }
}
