//! The Hugging Face cache, shared with the Hub's other tools.
//!
//! ```text
//! models--owner--name/
//!   refs/main                the commit of a branch or tag when it was last requested
//!   snapshots/<commit>/…     the files of a commit by name: links to
//!   blobs/<hash>             their contents, once for all commits
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use boomerang_core::checkpoint::shard_names;
use hf_hub::Repo;

use crate::error::{Context as _, Result};
use crate::{HubId, HubSettings};
use boomerang_core::checkpoint::files::{CONFIG, INDEX, WEIGHTS};
use boomerang_files::{Overwrite, write_atomic};

/// One model's part of the cache.
#[derive(Clone, Debug)]
pub(crate) struct ModelCache {
    folder: PathBuf,
}

/// A commit of a model as far as the cache holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// With the branch or tag that last pointed to the commit, else the commit itself.
    pub id: HubId,
    pub folder: PathBuf,
    pub n_bytes: u64,
    /// Missing files without which it does not open.
    pub missing: Vec<String>,
}

const REFS: &str = "refs";
const SNAPSHOTS: &str = "snapshots";
const BLOBS: &str = "blobs";

impl ModelCache {
    pub(crate) fn new(settings: &HubSettings, id: &HubId) -> Self {
        let repo = Repo::model(id.repo().to_owned());
        Self { folder: settings.cache.join(repo.folder_name()) }
    }

    /// The complete snapshot of a revision. One that was created by hand may be named by the
    /// revision.
    pub(crate) fn find(&self, revision: &str) -> Option<PathBuf> {
        let commit = self.commit(revision);
        let candidates = [commit.as_deref(), Some(revision)].into_iter().flatten();
        candidates.map(|name| self.snapshot(name)).find(|folder| missing(folder).is_empty())
    }

    pub(crate) fn snapshot(&self, revision: &str) -> PathBuf {
        self.folder.join(SNAPSHOTS).join(revision)
    }

    pub(crate) fn blob(&self, hash: &str) -> PathBuf {
        self.folder.join(BLOBS).join(hash)
    }

    /// Records the commit of the revision.
    pub(crate) fn set_commit(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit {
            return Ok(());
        }
        let path = self.folder.join(REFS).join(revision);
        Ok(write_atomic(&path, commit.as_bytes(), Overwrite::Allowed)?)
    }

    fn commit(&self, revision: &str) -> Option<String> {
        let text = fs::read_to_string(self.folder.join(REFS).join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Gives a blob its name in a snapshot: by a link, or, where links are not supported, by moving
    /// it.
    pub(crate) fn link(&self, hash: &str, pointer: &Path) -> Result<()> {
        let unwritten = || format!("{} cannot be written", pointer.display());
        if let Some(folder) = pointer.parent() {
            fs::create_dir_all(folder).with_context(unwritten)?;
        }
        if pointer.exists() {
            return Ok(());
        }
        // A broken link.
        if pointer.symlink_metadata().is_ok() {
            fs::remove_file(pointer).with_context(unwritten)?;
        }
        let target = Path::new("..").join("..").join(BLOBS).join(hash);
        let linked = match symlink(&target, pointer) {
            // Another process was first.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(_) => fs::rename(self.blob(hash), pointer),
            Ok(()) => Ok(()),
        };
        linked.with_context(unwritten)
    }
}

/// Whether `text` is a commit's full name, which is also the name of a folder.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Files that a model folder needs.
pub(crate) fn missing(folder: &Path) -> Vec<String> {
    let is_absent = |name: &String| !folder.join(name).exists();
    let weights = if folder.join(WEIGHTS).exists() {
        Vec::new()
    } else {
        let index = fs::read_to_string(folder.join(INDEX)).ok();
        let shards = index.and_then(|index| shard_names(&index).ok());
        shards.filter(|names| !names.is_empty()).unwrap_or_else(|| vec![WEIGHTS.to_owned()])
    };
    [CONFIG.to_owned()].into_iter().chain(weights).filter(is_absent).collect()
}

/// Every model in the cache, in the order of their names.
///
/// # Errors
/// When a folder cannot be read; a cache that does not exist is empty.
pub fn list(settings: &HubSettings) -> Result<Vec<Snapshot>> {
    let mut found = Vec::new();
    for name in entries(&settings.cache)? {
        let Some(repo) = name.strip_prefix("models--") else { continue };
        let Some(id) = HubId::parse(&format!("hf:{}", repo.replace("--", "/"))) else { continue };
        let cache = ModelCache::new(settings, &id);
        let mut named = Vec::new();
        revisions(&cache.folder.join(REFS), "", &mut named)?;
        for commit in entries(&cache.folder.join(SNAPSHOTS))? {
            let revision = named
                .iter()
                .find(|revision| cache.commit(revision).as_deref() == Some(&*commit))
                .unwrap_or(&commit);
            let Some(id) = id.at(revision) else { continue };
            let folder = cache.snapshot(&commit);
            let n_bytes = n_bytes(&folder)?;
            found.push(Snapshot { id, missing: missing(&folder), folder, n_bytes });
        }
    }
    found.sort_by(|left, right| left.id.cmp(&right.id));
    Ok(found)
}

/// The names in a folder, sorted; none when it does not exist.
fn entries(folder: &Path) -> Result<Vec<String>> {
    let unreadable = || format!("{} cannot be read", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(unreadable),
    };
    let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
    let names = names.with_context(unreadable)?;
    let mut names: Vec<String> =
        names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// The names below `refs`; one with a slash is a file in a folder.
fn revisions(folder: &Path, prefix: &str, found: &mut Vec<String>) -> Result<()> {
    for name in entries(folder)? {
        let path = folder.join(&name);
        let revision = format!("{prefix}{name}");
        if path.is_dir() {
            revisions(&path, &format!("{revision}/"), found)?;
        } else {
            found.push(revision);
        }
    }
    Ok(())
}

/// The total size of the files of a snapshot, links followed; without its subfolders.
fn n_bytes(folder: &Path) -> Result<u64> {
    let files = entries(folder)?.into_iter().map(|name| folder.join(name).metadata());
    Ok(files.flatten().filter(fs::Metadata::is_file).map(|file| file.len()).sum())
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    /// A cache with these files below `models--a--b`.
    fn cache_of(files: &[(&str, &str)]) -> (TempDir, HubSettings) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join("models--a--b").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let settings = HubSettings::with_cache(folder.path().to_owned());
        (folder, settings)
    }

    fn find(settings: &HubSettings, text: &str) -> Option<PathBuf> {
        let id = HubId::parse(text).unwrap();
        ModelCache::new(settings, &id).find(id.revision())
    }

    fn in_snapshot(name: &str) -> String {
        format!("snapshots/{COMMIT}/{name}")
    }

    #[test]
    fn a_branch_is_found_through_the_commit_it_stands_for() {
        let [config, weights] = [CONFIG, WEIGHTS].map(in_snapshot);
        let files = [("refs/refs/pr/1", COMMIT), (&*config, "{}"), (&*weights, "")];
        let (folder, settings) = cache_of(&files);
        let expected = folder.path().join("models--a--b/snapshots").join(COMMIT);
        assert_eq!(find(&settings, "a/b@refs/pr/1"), Some(expected.clone()));
        assert_eq!(find(&settings, &format!("a/b@{COMMIT}")), Some(expected));
        assert_eq!(find(&settings, "a/b"), None);
    }

    #[test]
    fn files_added_by_hand_need_no_commit() {
        let (_folder, settings) = cache_of(&[
            ("snapshots/main/config.json", "{}"),
            ("snapshots/main/model.safetensors", ""),
        ]);
        assert!(find(&settings, "a/b").unwrap().ends_with("snapshots/main"));
    }

    #[test]
    fn a_snapshot_without_all_its_shards_is_not_complete() {
        let [config, index, shard] = [CONFIG, INDEX, "1.safetensors"].map(in_snapshot);
        let map = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
        let files = [("refs/main", COMMIT), (&*config, "{}"), (&*index, map), (&*shard, "")];
        let (_folder, settings) = cache_of(&files);
        assert_eq!(find(&settings, "a/b"), None);
        assert_eq!(list(&settings).unwrap()[0].missing, ["2.safetensors"]);
    }

    #[test]
    fn a_commit_that_leads_elsewhere_is_not_followed() {
        let (folder, settings) = cache_of(&[("refs/main", "../../../elsewhere")]);
        fs::create_dir(folder.path().join("elsewhere")).unwrap();
        for name in [CONFIG, WEIGHTS] {
            fs::write(folder.path().join("elsewhere").join(name), "").unwrap();
        }
        assert_eq!(find(&settings, "a/b"), None);
    }

    #[test]
    fn the_list_shows_name_revision_and_size() {
        let [config, weights] = [CONFIG, WEIGHTS].map(in_snapshot);
        let files = [("refs/v1", COMMIT), (&*config, "{}"), (&*weights, "123")];
        let (_folder, settings) = cache_of(&files);
        let [found] = &list(&settings).unwrap()[..] else { panic!("one model") };
        assert_eq!((found.id.to_string().as_str(), found.n_bytes), ("a/b@v1", 5));
        assert!(found.missing.is_empty());
    }

    #[test]
    fn a_cache_that_is_not_there_is_empty() {
        let settings = HubSettings::with_cache("/nowhere/at/all".into());
        assert_eq!(list(&settings).unwrap(), []);
    }
}
