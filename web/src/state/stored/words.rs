//! What is stored, in words.

use boomerang_engine::messages::{FileState, Place, Space, StoredModel, StoredReport};

use crate::text::format;

/// How the stored files of a model compare with their hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    pub fingerprint: String,
    pub n_done: usize,
    pub n_files: usize,
    pub n_missing: usize,
    /// Paths of files that were dropped.
    pub damaged: Vec<String>,
}

impl Verification {
    pub(super) fn add(&mut self, path: String, state: FileState) {
        match state {
            FileState::Right => {}
            FileState::Missing => self.n_missing += 1,
            FileState::Damaged => self.damaged.push(path),
        }
    }

    pub fn in_words(&self) -> String {
        let Self { n_done, n_files, n_missing, damaged, .. } = self;
        if n_done < n_files || *n_files == 0 {
            return format!(
                "Compared with its hash: {n_done} of {} …",
                format::count(*n_files, "file")
            );
        }
        let mut words = match n_files - n_missing - damaged.len() {
            n_right if n_right == *n_files => format!("All {n_files} files are right."),
            n_right => format!("{n_right} of {} right.", format::count(*n_files, "file")),
        };
        if *n_missing > 0 {
            words += &format!(" Not here: {n_missing}.");
        }
        if !damaged.is_empty() {
            words += &format!(" Damaged, to be fetched again: {}.", damaged.join(", "));
        }
        words
    }
}

/// One line beside the engine; `None` when nothing is kept of this model and nothing has to be
/// explained.
pub fn badge(report: &StoredReport, fingerprint: &str, is_offline: bool) -> Option<String> {
    if report.place == Place::Memory {
        let why = report.why.as_deref().unwrap_or("it has no store");
        return Some(format!("not kept in this browser: {why}"));
    }
    let of_it = |model: &&StoredModel| model.fingerprint == fingerprint;
    let model = report.models.iter().find(of_it)?;
    let start = if is_offline { "offline" } else { "kept in this browser" };
    Some(if model.is_complete() {
        format!("{start}: complete")
    } else {
        format!("{start}: {} of {}", model.n_files_here, format::count(model.n_files, "file"))
    })
}

/// How much of a model is here.
pub fn model_in_words(model: &StoredModel) -> String {
    let files = format::count(model.n_files, "file");
    if model.is_complete() {
        let bytes = format::bytes(model.n_bytes);
        return format!("Complete: all {files}, {bytes}. It needs no network.");
    }
    let (here, all) = (format::bytes(model.bytes_here), format::bytes(model.n_bytes));
    let parts = match model.bytes_in_parts {
        0 => String::new(),
        bytes => format!(", and {} of files that are not whole", format::bytes(bytes)),
    };
    format!("{} of {files}, {here} of {all}{parts}.", model.n_files_here)
}

/// Where it is kept, and why there.
pub fn place_in_words(report: &StoredReport) -> String {
    let place = match report.place {
        Place::PrivateFiles => "the browser's private file system",
        Place::IndexedDb => "IndexedDB",
        Place::Memory => "memory only: gone with this page",
    };
    match &report.why {
        Some(why) => format!("{place}, because {why}"),
        None => place.to_owned(),
    }
}

/// `12 MB used of about 1.00 GB`.
pub fn space_in_words(space: Space) -> String {
    let (used, quota) = (format::bytes(space.used_bytes), format::bytes(space.quota_bytes));
    format!("{used} used of about {quota}")
}

pub(super) fn not_kept(why: &str, space: Option<Space>) -> String {
    let space = space.map(|space| format!(" ({})", space_in_words(space))).unwrap_or_default();
    format!("The rest of the model will not be kept: {why}{space}. It works until the page closes.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(n_files_here: usize) -> StoredModel {
        StoredModel {
            name: "demo".to_owned(),
            fingerprint: "f".to_owned(),
            url: "http://host/manifest.json".to_owned(),
            n_files_here,
            n_files: 13,
            bytes_here: 400_000,
            n_bytes: 1_400_000,
            bytes_in_parts: 23_000,
        }
    }

    fn report(place: Place, why: Option<&str>, models: Vec<StoredModel>) -> StoredReport {
        StoredReport { place, why: why.map(str::to_owned), models }
    }

    #[test]
    fn the_badge_says_how_much_is_kept_of_this_model() {
        let of = |n| report(Place::IndexedDb, None, vec![model(n)]);
        assert_eq!(badge(&of(13), "f", false).unwrap(), "kept in this browser: complete");
        assert_eq!(badge(&of(5), "f", false).unwrap(), "kept in this browser: 5 of 13 files");
        assert_eq!(badge(&of(13), "f", true).unwrap(), "offline: complete");
        assert_eq!(badge(&of(13), "another", false), None);
        let nowhere = report(Place::Memory, Some("this browser has no IndexedDB"), Vec::new());
        let expected = "not kept in this browser: this browser has no IndexedDB";
        assert_eq!(badge(&nowhere, "f", false).unwrap(), expected);
    }

    #[test]
    fn parts_are_told_from_whole_files() {
        let words = "5 of 13 files, 400 kB of 1.4 MB, and 23 kB of files that are not whole.";
        assert_eq!(model_in_words(&model(5)), words);
        let words = "Complete: all 13 files, 1.4 MB. It needs no network.";
        assert_eq!(model_in_words(&model(13)), words);
    }

    #[test]
    fn a_verification_names_what_was_damaged() {
        let mut verification = Verification { n_done: 2, n_files: 4, ..Default::default() };
        assert_eq!(verification.in_words(), "Compared with its hash: 2 of 4 files …");
        verification.n_done = 4;
        assert_eq!(verification.in_words(), "All 4 files are right.");
        verification.add("a/b".to_owned(), FileState::Damaged);
        verification.add("a/c".to_owned(), FileState::Missing);
        verification.add("a/d".to_owned(), FileState::Right);
        let words = "2 of 4 files right. Not here: 1. Damaged, to be fetched again: a/b.";
        assert_eq!(verification.in_words(), words);
    }

    #[test]
    fn what_is_not_kept_comes_with_the_room_there_is() {
        let space = Space { used_bytes: 400_000, quota_bytes: 500_000 };
        let words = not_kept("this browser has no more room for it", Some(space));
        assert!(words.contains("no more room for it (400 kB used of about 500 kB)"), "{words}");
    }
}
