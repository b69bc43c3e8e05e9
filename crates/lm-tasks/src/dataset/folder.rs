//! Which files of a dataset's folder are which split, found as `datasets` does.

use std::fs;
use std::path::{Path, PathBuf};

use super::card;
use crate::error::{Context as _, Result};
use boomerang_files::note_input;

/// Datasets have few levels of folders; a limit, because links may form a cycle.
const MAX_DEPTH: usize = 5;
const MAX_FILES: usize = 100_000;

/// Synonyms of splits.
const SYNONYMS: [&[&str]; 3] = [
    &["train", "training"],
    &["validation", "valid", "val", "dev"],
    &["test", "testing", "eval", "evaluation"],
];

/// Supported file formats; the first one wins for a split that has several.
const EXTENSIONS: [&str; 3] = ["parquet", "jsonl", "json"];

/// The files of one split of a configuration, in their order; `None` when there are none.
pub(super) fn files(
    folder: &Path,
    configuration: Option<&str>,
    split: &str,
) -> Result<Option<Vec<PathBuf>>> {
    let mut names = Vec::new();
    list(folder, "", 0, &mut names)
        .with_context(|| format!("{} cannot be read", folder.display()))?;
    names.sort();
    let patterns = card::patterns(folder, configuration, split);
    let found: Vec<&String> = match &patterns {
        Some(patterns) => names
            .iter()
            .filter(|name| patterns.iter().any(|pattern| card::matches(pattern, name)))
            .collect(),
        None => by_name(&names, configuration, split),
    };
    let of_kind = |extension: &&str| {
        let files: Vec<PathBuf> = found
            .iter()
            .filter(|name| has_extension(name, extension))
            .map(|name| folder.join(name))
            .collect();
        (!files.is_empty()).then_some(files)
    };
    Ok(EXTENSIONS.iter().find_map(of_kind))
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found == extension)
}

/// Every readable file, by its path from the folder with slashes.
fn list(folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) -> std::io::Result<()> {
    note_input(folder);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = entry.path();
        if name.starts_with('.') || names.len() >= MAX_FILES {
            continue;
        }
        if path.is_dir() {
            if depth < MAX_DEPTH {
                list(&path, &format!("{prefix}{name}/"), depth + 1, names)?;
            }
        } else if EXTENSIONS.iter().any(|extension| has_extension(&name, extension)) {
            names.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

/// Without a card, by the names of folders and files.
fn by_name<'a>(names: &'a [String], configuration: Option<&str>, split: &str) -> Vec<&'a String> {
    let own: Vec<&String> = names
        .iter()
        .filter(|name| {
            let folders = name.rsplit_once('/').map_or("", |(folders, _)| folders);
            configuration.is_some_and(|wanted| folders.split('/').any(|folder| folder == wanted))
        })
        .collect();
    // A dataset with one configuration has no folder for it.
    let all = || names.iter().filter(|name| !name.ends_with("dataset_infos.json")).collect();
    let candidates: Vec<&String> = if own.is_empty() { all() } else { own };
    let of_part = |part: &str| -> Vec<&'a String> {
        candidates.iter().copied().filter(|name| is_of_part(name, part, configuration)).collect()
    };
    let exact = of_part(split);
    if !exact.is_empty() {
        return exact;
    }
    let synonyms =
        SYNONYMS.iter().find(|names| names.contains(&split)).copied().unwrap_or_default();
    synonyms.iter().map(|name| of_part(name)).find(|found| !found.is_empty()).unwrap_or_default()
}

/// Whether a folder has the split's name, or the file's name has it as a word.
fn is_of_part(name: &str, part: &str, configuration: Option<&str>) -> bool {
    let (folders, file) = name.rsplit_once('/').unwrap_or(("", name));
    let stem = file.split('.').next().unwrap_or(file);
    let has_word = |text: &str| text.split(['-', '_', ' ']).any(|word| word == part);
    let mut folders = folders.split('/').filter(|folder| Some(*folder) != configuration);
    folders.any(|folder| folder == part) || stem == part || has_word(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str], configuration: Option<&str>, split: &str) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        by_name(&names, configuration, split).into_iter().cloned().collect()
    }

    #[test]
    fn the_layouts_of_the_hub_are_known() {
        let arc =
            ["ARC-Challenge/test-00000-of-00001.parquet", "ARC-Easy/test-00000-of-00001.parquet"];
        assert_eq!(found(&arc, Some("ARC-Easy"), "test"), [arc[1]]);
        let flat = ["data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"];
        assert_eq!(found(&flat, None, "validation"), [flat[1]]);
        let converted =
            ["high/test/0000.parquet", "high/train/0000.parquet", "middle/test/0000.parquet"];
        assert_eq!(found(&converted, Some("high"), "test"), [converted[0]]);
        let named = ["wikitext-2-raw-v1/wikitext_document_level-test.parquet"];
        assert_eq!(found(&named, Some("wikitext-2-raw-v1"), "test"), named);
    }

    #[test]
    fn a_part_that_has_its_own_files_is_not_taken_for_another() {
        let mmlu = ["a/dev-00000-of-00001.parquet", "a/validation-00000-of-00001.parquet"];
        assert_eq!(found(&mmlu, Some("a"), "dev"), [mmlu[0]]);
        assert_eq!(found(&mmlu, Some("a"), "validation"), [mmlu[1]]);
        assert_eq!(found(&["valid.jsonl"], None, "validation"), ["valid.jsonl"]);
        assert_eq!(found(&["latest.jsonl"], None, "test"), Vec::<String>::new());
    }
}
