//! What is stored, in words.

use boomerang_engine::messages::{FileState, StorageKind, StorageSpace, StoredModel, StoredReport};

use crate::text::format;

/// How the stored files of a model compare with their hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    pub fingerprint: String,
    pub n_done: usize,
    pub n_files: usize,
    pub n_missing: usize,
    /// Paths of files that were deleted.
    pub damaged: Vec<String>,
}

impl Verification {
    pub(super) fn add(&mut self, path: String, state: FileState) {
        match state {
            FileState::Intact => {}
            FileState::Missing => self.n_missing += 1,
            FileState::Damaged => self.damaged.push(path),
        }
    }

    pub fn in_words(&self) -> String {
        let Self { n_done, n_files, n_missing, damaged, .. } = self;
        if n_done < n_files || *n_files == 0 {
            return format!(
                "Comparing with hashes: {n_done} of {} …",
                format::count(*n_files, "file")
            );
        }
        let mut words = match n_files - n_missing - damaged.len() {
            n_intact if n_intact == *n_files => format!("All {n_files} files are intact."),
            n_intact => format!("{n_intact} of {} intact.", format::count(*n_files, "file")),
        };
        if *n_missing > 0 {
            words += &format!(" Missing: {n_missing}.");
        }
        if !damaged.is_empty() {
            words += &format!(" Damaged, will be downloaded again: {}.", damaged.join(", "));
        }
        words
    }
}

/// The status line of the engine; `None` when nothing of this model is stored and nothing has to be
/// explained.
pub fn badge(report: &StoredReport, fingerprint: &str, is_offline: bool) -> Option<String> {
    if report.storage == StorageKind::Memory {
        let why = report.why.as_deref().unwrap_or("no storage is available");
        return Some(format!("not stored in this browser: {why}"));
    }
    let of_it = |model: &&StoredModel| model.fingerprint == fingerprint;
    let model = report.models.iter().find(of_it)?;
    let start = if is_offline { "offline" } else { "stored in this browser" };
    Some(if model.is_complete() {
        format!("{start}: complete")
    } else {
        format!("{start}: {} of {}", model.n_stored_files, format::count(model.n_files, "file"))
    })
}

/// How much of a model is stored.
pub fn model_in_words(model: &StoredModel) -> String {
    let files = format::count(model.n_files, "file");
    if model.is_complete() {
        let bytes = format::bytes(model.n_bytes);
        return format!("Complete: all {files}, {bytes}. Available offline.");
    }
    let (stored, all) = (format::bytes(model.n_stored_bytes), format::bytes(model.n_bytes));
    let partial = match model.n_partial_bytes {
        0 => String::new(),
        bytes => format!(", and {} of incomplete files", format::bytes(bytes)),
    };
    format!("{} of {files}, {stored} of {all}{partial}.", model.n_stored_files)
}

/// The kind of storage, and why it is used.
pub fn storage_in_words(report: &StoredReport) -> String {
    let storage = match report.storage {
        StorageKind::PrivateFiles => "the browser's private file system",
        StorageKind::IndexedDb => "IndexedDB",
        StorageKind::Memory => "memory only, until this page is closed",
    };
    match &report.why {
        Some(why) => format!("{storage}, because {why}"),
        None => storage.to_owned(),
    }
}

/// `12 MB used of about 1.00 GB`.
pub fn space_in_words(space: StorageSpace) -> String {
    let (used, quota) = (format::bytes(space.used_bytes), format::bytes(space.quota_bytes));
    format!("{used} used of about {quota}")
}

pub(super) fn not_kept(why: &str, space: Option<StorageSpace>) -> String {
    let space = space.map(|space| format!(" ({})", space_in_words(space))).unwrap_or_default();
    format!(
        "The rest of the model will not be stored: {why}{space}. It works until the page is closed."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(n_stored_files: usize) -> StoredModel {
        StoredModel {
            name: "demo".to_owned(),
            fingerprint: "f".to_owned(),
            url: "http://host/manifest.json".to_owned(),
            n_stored_files,
            n_files: 13,
            n_stored_bytes: 400_000,
            n_bytes: 1_400_000,
            n_partial_bytes: 23_000,
        }
    }

    fn report(storage: StorageKind, why: Option<&str>, models: Vec<StoredModel>) -> StoredReport {
        StoredReport { storage, why: why.map(str::to_owned), models }
    }

    #[test]
    fn the_badge_shows_how_much_of_this_model_is_stored() {
        let of = |n| report(StorageKind::IndexedDb, None, vec![model(n)]);
        assert_eq!(badge(&of(13), "f", false).unwrap(), "stored in this browser: complete");
        assert_eq!(badge(&of(5), "f", false).unwrap(), "stored in this browser: 5 of 13 files");
        assert_eq!(badge(&of(13), "f", true).unwrap(), "offline: complete");
        assert_eq!(badge(&of(13), "another", false), None);
        let nowhere =
            report(StorageKind::Memory, Some("this browser has no IndexedDB"), Vec::new());
        let expected = "not stored in this browser: this browser has no IndexedDB";
        assert_eq!(badge(&nowhere, "f", false).unwrap(), expected);
    }

    #[test]
    fn incomplete_files_are_counted_apart() {
        let words = "5 of 13 files, 400 kB of 1.4 MB, and 23 kB of incomplete files.";
        assert_eq!(model_in_words(&model(5)), words);
        let words = "Complete: all 13 files, 1.4 MB. Available offline.";
        assert_eq!(model_in_words(&model(13)), words);
    }

    #[test]
    fn a_verification_names_damaged_files() {
        let mut verification = Verification { n_done: 2, n_files: 4, ..Default::default() };
        assert_eq!(verification.in_words(), "Comparing with hashes: 2 of 4 files …");
        verification.n_done = 4;
        assert_eq!(verification.in_words(), "All 4 files are intact.");
        verification.add("a/b".to_owned(), FileState::Damaged);
        verification.add("a/c".to_owned(), FileState::Missing);
        verification.add("a/d".to_owned(), FileState::Intact);
        let words = "2 of 4 files intact. Missing: 1. Damaged, will be downloaded again: a/b.";
        assert_eq!(verification.in_words(), words);
    }

    #[test]
    fn a_message_about_full_storage_has_the_quota() {
        let space = StorageSpace { used_bytes: 400_000, quota_bytes: 500_000 };
        let words = not_kept("this browser's storage is full", Some(space));
        assert!(words.contains("storage is full (400 kB used of about 500 kB)"), "{words}");
    }
}
