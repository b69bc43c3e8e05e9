mod imports;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use boomerang_tests::{read, root};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn text(path: impl AsRef<Path>) -> String {
    String::from_utf8(read(path)).unwrap()
}

/// Where our own sources are.
const SOURCES: [&str; 12] = [
    "core/src",
    "crates/chat/src",
    "crates/files/src",
    "crates/hub/src",
    "crates/kernels/src",
    "crates/lessons/src",
    "crates/lm-tasks/src",
    "crates/report/src",
    "native-trainer/src",
    "web/src",
    "web/engine/src",
    "xtask/src",
];

/// Stages of `core` in the order in which data flows; each may use those before it, and its own.
const STAGES: [&str; 24] = [
    "estimate",
    "plan",
    "architecture",
    "config",
    "tokenizer",
    "documents",
    "model",
    "checkpoint",
    "prune",
    "gguf",
    "patch",
    "evaluate",
    "generate",
    "distill",
    "similarity",
    "baselines",
    "correct",
    "search",
    "curve",
    "compare",
    "chart",
    "bundle",
    "corpus",
    "lib",
];

/// The part of a file above its tests, which may look anywhere.
fn without_tests(text: &str) -> &str {
    // A file of nothing but tests has `#!` before the attribute.
    text.split("[cfg(test)]").next().unwrap_or_default()
}

#[test]
fn core_depends_backwards_only() {
    let core = root().join("core/src");
    let order = |stage: &str| STAGES.iter().position(|name| *name == stage);
    let mut wrong = Vec::new();
    for file in sources(&core) {
        let below = file.strip_prefix(&core).unwrap().to_string_lossy().replace('\\', "/");
        let stage = below.split(['/', '.']).next().unwrap().to_owned();
        if stage == "lib" {
            continue;
        }
        let here = order(&stage).unwrap_or_else(|| panic!("{below} belongs to no stage"));
        let source = text(&file);
        for line in without_tests(&source).lines() {
            let Some(rest) = line.trim().strip_prefix("use crate::") else { continue };
            let used = rest.split([':', ';', '{']).next().unwrap();
            let there = order(used).unwrap_or_else(|| panic!("{below} uses unknown {used}"));
            if there > here {
                wrong.push(format!("{below} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn core_touches_nothing_outside_itself() {
    let forbidden =
        ["std::fs", "std::env", "std::thread", "std::time", "std::process", "println!", "std::net"];
    for file in sources(&root().join("core/src")) {
        let source = text(&file);
        let source = without_tests(&source);
        for word in forbidden {
            assert!(!source.contains(word), "{} has {word}", file.display());
        }
    }
}

#[test]
fn no_forward_pass_asks_for_the_architecture() {
    for file in sources(&root().join("core/src/model")) {
        let source = text(&file);
        assert!(!without_tests(&source).contains("Architecture::"), "{}", file.display());
    }
}

#[test]
fn every_file_opens_with_what_it_is() {
    for folder in SOURCES {
        for file in sources(&root().join(folder)) {
            assert!(text(&file).starts_with("//! "), "{} has no first line", file.display());
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for folder in SOURCES {
        for file in sources(&root().join(folder)) {
            let n_lines = text(&file).lines().count();
            assert!(n_lines <= 400, "{} has {n_lines} lines: find the joint", file.display());
        }
    }
}

/// The names in the tree of a Markdown file: the first word of each line of its code block.
fn tree(markdown: &str) -> BTreeSet<String> {
    let block =
        markdown.split("```text\nboomerang/").nth(1).expect("a tree that starts with boomerang/");
    let block = block.split("```").next().unwrap();
    let names = block.lines().filter_map(|line| {
        let name = line.trim_start_matches(['│', '├', '└', '─', ' ']);
        name.split_whitespace().next().map(|name| name.trim_end_matches('/').to_owned())
    });
    names.collect()
}

#[test]
fn the_tree_in_the_readme_is_the_repository() {
    let named = tree(&text(root().join("README.md")));
    for name in &named {
        assert!(root().join(name).exists(), "README.md names {name}, which is not there");
    }
    let hidden = ["target", "dist", "runs", "Cargo.lock"];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !hidden.contains(&name.as_str()) {
            assert!(named.contains(&name), "README.md does not name {name}");
        }
    }
}

#[test]
fn every_module_is_on_the_map() {
    let map = text(root().join("ARCHITECTURE.md"));
    for folder in SOURCES {
        let folder = root().join(folder);
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let name = if path.is_dir() { format!("{name}/") } else { name };
            if name != "lib.rs" && name != "main.rs" {
                assert!(
                    map.contains(&format!("`{name}`")),
                    "ARCHITECTURE.md does not name {}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_view_of_the_page_gets_a_folder_when_it_is_built() {
    let places = text(root().join("web/src/browser/view.rs"));
    let finish = text(root().join("xtask/src/finish.rs"));
    let list = finish.split("const VIEWS").nth(1).and_then(|rest| rest.split(';').nth(1)).unwrap();
    let built: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    let told: BTreeSet<&str> =
        places.split("=> \"").skip(1).filter_map(|rest| rest.split("/\",").next()).collect();
    let told: BTreeSet<&str> = told.into_iter().filter(|name| !name.contains([' ', '.'])).collect();
    assert_eq!(built, told);
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_row_of_where_do_i_change_names_what_exists() {
    let map = text(root().join("ARCHITECTURE.md"));
    let table = map.split("## Where do I change").nth(1).expect("the table");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 12, "{} rows", rows.len());
    for row in rows {
        let paths: Vec<&str> = quoted(row).filter(|name| name.contains('/')).collect();
        assert!(!paths.is_empty(), "no path in {row}");
        for path in paths {
            assert!(root().join(path).exists(), "{path} does not exist: {row}");
        }
    }
}

#[test]
fn every_name_in_the_method_is_in_the_file_beside_it() {
    let method = text(root().join("docs/method.md"));
    let rows = method.lines().skip_while(|line| !line.starts_with("| idea |")).skip(2);
    let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [.., names, path] = cells[..] else { panic!("three cells: {row}") };
        let path = root().join(quoted(path).next().expect("a path"));
        let files = if path.is_dir() { sources(&path) } else { vec![path.clone()] };
        let sources: String = files.iter().map(text).collect();
        for name in quoted(names) {
            let is_defined = ["fn", "struct", "enum", "const", "type"]
                .iter()
                .any(|kind| sources.contains(&format!("{kind} {name}")));
            assert!(is_defined, "{name} is not defined in {}", path.display());
        }
    }
}
