//! What is stored, from the records of bundles and the stored files.

use std::collections::{BTreeMap, BTreeSet};

use boomerang_core::bundle::{BundleFile, Manifest};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;

use super::database::{BUNDLES, Database};
use crate::messages::{FileState, StoredModel};

/// A bundle that was loaded; its manifest lists the files it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Of the manifest.
    pub(super) url: String,
    /// When it was last loaded, in milliseconds since 1970.
    pub(super) at: f64,
    /// As it was fetched.
    pub(super) manifest: String,
}

impl Record {
    /// A model at two addresses has two records, as have two models at one address.
    pub(super) fn key(&self, fingerprint: &str) -> String {
        format!("{fingerprint} {}", self.url)
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers can be written")
    }

    pub(super) fn is_of(&self, fingerprint: &str) -> bool {
        self.parsed().is_some_and(|manifest| manifest.fingerprint() == fingerprint)
    }

    pub(super) fn files(&self) -> Vec<BundleFile> {
        self.parsed().map(|manifest| manifest.files().cloned().collect()).unwrap_or_default()
    }

    /// `None` for a manifest of another version, whose files count as unused.
    fn parsed(&self) -> Option<Manifest> {
        Manifest::from_json(&self.manifest).ok()
    }
}

/// All records with their keys, except those that cannot be read.
pub(super) async fn records(database: &Database) -> Result<Vec<(String, Record)>, JsValue> {
    let rows = database.rows(BUNDLES).await?.into_iter();
    let records = rows
        .filter_map(|(key, value)| Some((key, serde_json::from_str(&value.as_string()?).ok()?)));
    Ok(records.collect())
}

/// The stored models, last loaded first. A file counts as stored when its hash was correct (`whole`)
/// and it still has its length (`sizes`); else its bytes are partial.
pub(super) fn models(
    mut records: Vec<Record>,
    whole: &BTreeMap<String, u64>,
    sizes: &BTreeMap<String, u64>,
) -> Vec<StoredModel> {
    records.sort_by(|one, other| other.at.total_cmp(&one.at));
    let mut models: Vec<StoredModel> = Vec::new();
    for record in records {
        let Some(manifest) = record.parsed() else { continue };
        let fingerprint = manifest.fingerprint();
        if models.iter().any(|model| model.fingerprint == fingerprint) {
            continue;
        }
        let mut model = StoredModel {
            name: manifest.name.clone(),
            fingerprint,
            url: record.url,
            n_stored_files: 0,
            n_files: 0,
            n_stored_bytes: 0,
            n_bytes: manifest.n_bytes(),
            n_partial_bytes: 0,
        };
        for file in manifest.files() {
            let name = &file.sha256;
            let size = sizes.get(name).copied().unwrap_or(0);
            model.n_files += 1;
            if whole.contains_key(name) && size == file.bytes {
                model.n_stored_files += 1;
                model.n_stored_bytes += file.bytes;
            } else {
                model.n_partial_bytes += size;
            }
        }
        models.push(model);
    }
    models
}

/// The `known` length of a file whose hash was correct, if `file` lists that hash with another length:
/// such a manifest is wrong.
pub(super) fn conflicting_length(known: u64, file: &BundleFile) -> Option<u64> {
    (known != file.bytes).then_some(known)
}

/// The state of a file of which `n_bytes` are stored; `is_intact` when they have its hash.
pub(super) fn state_of(n_bytes: u64, is_intact: bool, file: &BundleFile) -> FileState {
    if is_intact && n_bytes == file.bytes {
        FileState::Intact
    } else if is_intact || n_bytes < file.bytes {
        // An intact one belongs to another model, and shares only its hash with the listed file.
        FileState::Missing
    } else {
        FileState::Damaged
    }
}

/// Names of files that no record lists.
pub(super) fn unlisted<'a>(
    records: &[Record],
    names: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    let listed: BTreeSet<String> =
        records.iter().flat_map(Record::files).map(|file| file.sha256).collect();
    names.filter(|name| !listed.contains(*name)).cloned().collect()
}

/// The last loaded manifest of an address.
pub(super) fn newest(records: impl Iterator<Item = Record>, url: &str) -> Option<String> {
    let at_url = records.filter(|record| record.url == url);
    let newest = at_url.max_by(|one, other| one.at.total_cmp(&other.at));
    newest.map(|record| record.manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = include_str!("../../../../assets/demo/bundle/manifest.json");

    fn record(url: &str, at: f64) -> Record {
        Record { url: url.to_owned(), at, manifest: DEMO.to_owned() }
    }

    /// The demo with another tokenizer: another model that shares all files but one.
    fn cousin() -> Record {
        let mut manifest = Manifest::from_json(DEMO).unwrap();
        manifest.tokenizer.sha256 = "0".repeat(64);
        let manifest = serde_json::to_string(&manifest).unwrap();
        Record { manifest, ..record("http://host/cousin/manifest.json", 1.0) }
    }

    fn sizes(files: &[BundleFile]) -> BTreeMap<String, u64> {
        files.iter().map(|file| (file.sha256.clone(), file.bytes)).collect()
    }

    #[test]
    fn a_file_counts_when_its_hash_was_correct_and_its_length_is_unchanged() {
        let record = record("http://host/bundle/manifest.json", 1.0);
        let files = record.files();
        let all = sizes(&files);
        let count = |whole: &BTreeMap<String, u64>, sizes: &BTreeMap<String, u64>| {
            let models = models(vec![record.clone()], whole, sizes);
            (models[0].n_stored_files, models[0].n_stored_bytes, models[0].n_partial_bytes)
        };
        let n_bytes = files.iter().map(|file| file.bytes).sum::<u64>();
        assert_eq!(count(&all, &all), (files.len(), n_bytes, 0));
        assert!(models(vec![record.clone()], &all, &all)[0].is_complete());

        let mut short = all.clone();
        short.insert(files[1].sha256.clone(), 10);
        assert_eq!(count(&all, &short), (files.len() - 1, n_bytes - files[1].bytes, 10));
        let mut unchecked = all.clone();
        unchecked.remove(&files[1].sha256);
        assert_eq!(
            count(&unchecked, &all),
            (files.len() - 1, n_bytes - files[1].bytes, files[1].bytes)
        );
        assert_eq!(count(&BTreeMap::new(), &BTreeMap::new()), (0, 0, 0));
    }

    #[test]
    fn a_model_at_two_addresses_is_one_model() {
        let records = vec![record("http://host/a", 1.0), record("http://host/b", 2.0), cousin()];
        let none = BTreeMap::new();
        let models = models(records, &none, &none);
        assert_eq!(models.len(), 2);
        assert_eq!(models[0].url, "http://host/b");
    }

    #[test]
    fn an_intact_file_survives_a_manifest_that_lists_another_length() {
        let file = &record("http://host/a", 1.0).files()[0];
        let n_bytes = file.bytes;
        let listed = |bytes| BundleFile { bytes, ..file.clone() };
        assert_eq!(conflicting_length(n_bytes, file), None);
        assert_eq!(state_of(n_bytes, true, file), FileState::Intact);
        for wrong in [0, n_bytes - 1, n_bytes + 1] {
            assert_eq!(conflicting_length(n_bytes, &listed(wrong)), Some(n_bytes));
            assert_eq!(state_of(n_bytes, true, &listed(wrong)), FileState::Missing);
        }
        assert_eq!(state_of(n_bytes - 1, false, file), FileState::Missing);
        assert_eq!(state_of(n_bytes, false, file), FileState::Damaged);
        assert_eq!(state_of(n_bytes, false, &listed(0)), FileState::Damaged);
    }

    #[test]
    fn a_file_that_another_model_uses_stays() {
        let (demo, cousin) = (record("http://host/a", 1.0), cousin());
        let mut names: Vec<String> = sizes(&demo.files()).into_keys().collect();
        names.push("of no model".to_owned());
        let own = demo.files()[0].sha256.clone();
        let mut left = unlisted(std::slice::from_ref(&cousin), names.iter());
        left.sort();
        let mut expected = vec![own, "of no model".to_owned()];
        expected.sort();
        assert_eq!(left, expected);
        assert_eq!(unlisted(&[demo, cousin], names.iter()), ["of no model"]);
        assert_eq!(unlisted(&[], names.iter()), names);
    }

    #[test]
    fn an_address_gives_the_last_loaded_manifest() {
        let url = "http://host/cousin/manifest.json";
        let records = || [record(url, 0.5), cousin(), record("http://host/a", 9.0)].into_iter();
        assert_eq!(newest(records(), url), Some(cousin().manifest));
        assert_eq!(newest(records(), "http://host/b"), None);
    }

    #[test]
    fn a_record_survives_the_database() {
        let record = record("http://host/a", 1.5);
        assert_eq!(serde_json::from_str::<Record>(&record.to_json()).unwrap(), record);
        assert!(record.is_of(&Manifest::from_json(DEMO).unwrap().fingerprint()));
    }
}
