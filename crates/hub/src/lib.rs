//! Models from the Hugging Face Hub, by id, kept in the cache that its other tools use.
//!
//! A file gets its name only when it is complete and its hash matches, and weights are downloaded
//! last, so that a folder with weights is complete.
//!
//! Parsing the files is left to `boomerang-core`, showing progress to the caller
//! ([`DownloadProgress`]).

mod cache;
mod error;
mod id;
mod part;
mod progress;
mod refusal;
mod remote;
mod settings;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use boomerang_core::checkpoint::shard_names;
use boomerang_core::config::code_files;
use serde_json::Value;

pub use cache::{Snapshot, list};
pub use error::HubError;
pub use id::HubId;
pub use progress::DownloadProgress;
pub use settings::{HubSettings, Token};

use boomerang_core::checkpoint::files::{CONFIG, EXTRAS, INDEX, STUDENT_CONFIG, WEIGHTS};
use boomerang_files::read_text;
use cache::ModelCache;
use error::{Context as _, Result};
use part::{Expected, Part};
use remote::Remote;

/// The folder with a model's files: from the cache if complete, else downloaded.
///
/// # Errors
/// When the cache is incomplete and the download fails: names the folder to add the files to by
/// hand.
pub fn fetch(
    id: &HubId,
    settings: &HubSettings,
    progress: &mut dyn DownloadProgress,
) -> Result<PathBuf> {
    match ModelCache::new(settings, id).find(id.revision()) {
        Some(folder) => Ok(folder),
        None => update(id, settings, progress),
    }
}

/// As [`fetch`], but always contacts the Hub: for a newer commit, and for files that another
/// program did not download.
///
/// # Errors
/// As [`fetch`].
pub fn update(
    id: &HubId,
    settings: &HubSettings,
    progress: &mut dyn DownloadProgress,
) -> Result<PathBuf> {
    if settings.offline {
        return Err(refusal::offline(id, settings));
    }
    let remote = Remote::open(id, settings)?;
    let cache = ModelCache::new(settings, id);
    let folder = cache.snapshot(&remote.commit);
    let download = Download { id, remote, cache, folder };
    download.small_files(progress)?;
    download.weights(progress)?;
    download.cache.set_commit(id.revision(), &download.remote.commit)?;
    Ok(download.folder)
}

/// The download of one commit.
struct Download<'a> {
    id: &'a HubId,
    remote: Remote<'a>,
    cache: ModelCache,
    folder: PathBuf,
}

impl Download<'_> {
    /// Everything that is read besides weights.
    fn small_files(&self, progress: &mut dyn DownloadProgress) -> Result<()> {
        if !self.has(CONFIG) {
            return Err(self.lacks(CONFIG));
        }
        let wanted = [CONFIG, STUDENT_CONFIG].into_iter().chain(EXTRAS.iter().copied());
        let index = [INDEX].into_iter().filter(|_| !self.has(WEIGHTS));
        let names: Vec<&str> = wanted.chain(index).filter(|name| self.has(name)).collect();
        self.all(&names, progress)?;
        // Not run here, but copied to models that are written from this one.
        let config: Value =
            serde_json::from_str(&read_text(&self.folder.join(CONFIG))?).unwrap_or_default();
        let code = code_files(&config["auto_map"]);
        let is_plain = |name: &str| !name.contains(['/', '\\', ':', '\0']);
        let names: Vec<&str> = code.iter().map(String::as_str).collect();
        let names: Vec<&str> =
            names.into_iter().filter(|name| is_plain(name) && self.has(name)).collect();
        self.all(&names, progress)
    }

    /// One file, or those that the index names; other files of the repository are not downloaded.
    fn weights(&self, progress: &mut dyn DownloadProgress) -> Result<()> {
        if self.has(WEIGHTS) {
            return self.all(&[WEIGHTS], progress);
        }
        if !self.has(INDEX) {
            return Err(self.lacks(WEIGHTS));
        }
        let names = shard_names(&read_text(&self.folder.join(INDEX))?)
            .map_err(|error| HubError::Incomplete(format!("{INDEX} of {}: {error}", self.id)))?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match names.iter().find(|name| !self.has(name)) {
            Some(name) => Err(self.lacks(name)),
            None => self.all(&names, progress),
        }
    }

    fn all(&self, names: &[&str], progress: &mut dyn DownloadProgress) -> Result<()> {
        let mut files = Vec::new();
        for name in names.iter().filter(|name| !self.folder.join(name).exists()) {
            files.push((*name, self.remote.expected(name)?));
        }
        let total = files.iter().map(|(_, expected)| expected.size).fold(0, u64::saturating_add);
        progress.start(self.id, total);
        let mut n_before: u64 = 0;
        for (name, expected) in files {
            let mut on_bytes = |n_bytes| progress.advance(n_before.saturating_add(n_bytes), name);
            self.one(name, &expected, &mut on_bytes)?;
            self.cache.link(expected.hash(), &self.folder.join(name))?;
            n_before = n_before.saturating_add(expected.size);
        }
        progress.finish();
        Ok(())
    }

    fn one(&self, name: &str, expected: &Expected, on_bytes: &mut dyn FnMut(u64)) -> Result<()> {
        let blob = self.cache.blob(expected.hash());
        let unwritten = || format!("{} cannot be written", blob.display());
        let is_there = || fs::metadata(&blob).is_ok_and(|found| found.len() == expected.size);
        if is_there() {
            return Ok(());
        }
        let _lock = lock(&blob.with_extension("lock")).with_context(unwritten)?;
        // Another process may have downloaded it.
        if is_there() {
            return Ok(());
        }
        let mut part =
            Part::open(&blob.with_extension("part"), expected).with_context(unwritten)?;
        let is_resumed = part.n_bytes() > 0;
        self.remote.fill(name, &mut part, &mut *on_bytes)?;
        if is_resumed && !part.is_whole() {
            // The partial file of an earlier run is of another version.
            part.restart().with_context(unwritten)?;
            self.remote.fill(name, &mut part, &mut *on_bytes)?;
        }
        if !part.is_whole() {
            let found = part.hash();
            part.remove().with_context(unwritten)?;
            return Err(refusal::damaged(self.id, name, expected.hash(), &found));
        }
        part.finish(&blob).with_context(unwritten)
    }

    fn has(&self, name: &str) -> bool {
        self.remote.names.iter().any(|found| found == name)
    }

    fn lacks(&self, name: &str) -> HubError {
        let advice = if self.has("pytorch_model.bin") {
            "; pytorch_model.bin is not supported, because loading a pickle can run code"
        } else {
            ""
        };
        HubError::Incomplete(format!(
            "{} has no {name} on the Hub; expected config.json, and model.safetensors or the files \
             that its index names{advice}",
            self.id
        ))
    }
}

/// Held by one process at a time, for as long as the file is open.
fn lock(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = File::create(path)?;
    // Some file systems have no locks; there, nothing prevents a second download.
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        log::info!("waiting for another program that is downloading the same file");
        file.lock()?;
    }
    Ok(file)
}
