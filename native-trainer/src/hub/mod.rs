//! Models from the Hugging Face Hub, by id, kept in the cache that its other tools use.
//!
//! Knows the files of a model by their names; what is in them is for `files` to say. A file has its
//! name only when it is whole and its hash is right, and the weights come last, so that a folder
//! with weights is a folder with everything.

mod cache;
mod id;
mod part;
mod refusal;
mod remote;
mod settings;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context;
use boomerang_core::checkpoint::shard_names;
use boomerang_core::config::code_files;
use serde_json::Value;

pub use cache::{Snapshot, list};
pub use id::HubId;
pub use settings::{HubSettings, Token};

use crate::exit::{Exit, OrExit as _};
use crate::files::names::{CONFIG, EXTRAS, INDEX, STUDENT_CONFIG, WEIGHTS};
use crate::files::read_text;
use crate::progress::{Progress, tell};
use cache::ModelCache;
use part::{Expected, Part};
use remote::Remote;

/// The folder with a model's files: the cache's, if it is all there, else fetched.
///
/// # Errors
/// When the cache has not all of it and the Hub does not give the rest: says where the files can be
/// put by hand.
pub fn fetch(id: &HubId, settings: &HubSettings) -> anyhow::Result<PathBuf> {
    match ModelCache::new(settings, id).find(id.revision()) {
        Some(folder) => Ok(folder),
        None => update(id, settings),
    }
}

/// As [`fetch`], but asks the Hub in any case: for a newer commit, and for files that another
/// program did not need.
///
/// # Errors
/// As [`fetch`].
pub fn update(id: &HubId, settings: &HubSettings) -> anyhow::Result<PathBuf> {
    if settings.offline {
        return Err(refusal::offline(id, settings));
    }
    let remote = Remote::open(id, settings)?;
    let cache = ModelCache::new(settings, id);
    let folder = cache.snapshot(&remote.commit);
    let download = Download { id, remote, cache, folder };
    download.small_files()?;
    download.weights()?;
    download.cache.set_commit(id.revision(), &download.remote.commit)?;
    Ok(download.folder)
}

/// One commit on its way into the cache.
struct Download<'a> {
    id: &'a HubId,
    remote: Remote<'a>,
    cache: ModelCache,
    folder: PathBuf,
}

/// How much has arrived, for people.
struct Arrived {
    progress: Option<Progress>,
    n_bytes: u64,
}

const MEGABYTE: u64 = 1_000_000;
/// What takes a moment needs no bar.
const WORTH_A_BAR: u64 = 10 * MEGABYTE;

impl Download<'_> {
    /// Everything that is read beside weights.
    fn small_files(&self) -> anyhow::Result<()> {
        if !self.has(CONFIG) {
            return Err(self.lacks(CONFIG));
        }
        let wanted = [CONFIG, STUDENT_CONFIG].into_iter().chain(EXTRAS.iter().copied());
        let index = [INDEX].into_iter().filter(|_| !self.has(WEIGHTS));
        let names: Vec<&str> = wanted.chain(index).filter(|name| self.has(name)).collect();
        self.all(&names)?;
        // Not run here, but part of what is written from the model.
        let config: Value =
            serde_json::from_str(&read_text(&self.folder.join(CONFIG))?).unwrap_or_default();
        let code = code_files(&config["auto_map"]);
        let is_plain = |name: &str| !name.contains(['/', '\\', ':', '\0']);
        let names: Vec<&str> = code.iter().map(String::as_str).collect();
        let names: Vec<&str> =
            names.into_iter().filter(|name| is_plain(name) && self.has(name)).collect();
        self.all(&names)
    }

    /// One file, or those that the index names: nothing else that the repository may hold.
    fn weights(&self) -> anyhow::Result<()> {
        if self.has(WEIGHTS) {
            return self.all(&[WEIGHTS]);
        }
        if !self.has(INDEX) {
            return Err(self.lacks(WEIGHTS));
        }
        let names = shard_names(&read_text(&self.folder.join(INDEX))?)
            .with_context(|| format!("{INDEX} of {}", self.id))
            .or_exit(Exit::Unusable)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match names.iter().find(|name| !self.has(name)) {
            Some(name) => Err(self.lacks(name)),
            None => self.all(&names),
        }
    }

    fn all(&self, names: &[&str]) -> anyhow::Result<()> {
        let mut files = Vec::new();
        for name in names.iter().filter(|name| !self.folder.join(name).exists()) {
            files.push((*name, self.remote.expected(name)?));
        }
        let total = files.iter().map(|(_, expected)| expected.size).fold(0, u64::saturating_add);
        let mut arrived = Arrived::new(self.id, total);
        for (name, expected) in files {
            self.one(name, &expected, &mut arrived)?;
            self.cache.link(expected.hash(), &self.folder.join(name))?;
            arrived.n_bytes = arrived.n_bytes.saturating_add(expected.size);
        }
        arrived.finish(total);
        Ok(())
    }

    fn one(&self, name: &str, expected: &Expected, arrived: &mut Arrived) -> anyhow::Result<()> {
        let blob = self.cache.blob(expected.hash());
        let unwritten = || format!("{} cannot be written", blob.display());
        let is_there = || fs::metadata(&blob).is_ok_and(|found| found.len() == expected.size);
        if is_there() {
            return Ok(());
        }
        let _lock = lock(&blob.with_extension("lock")).with_context(unwritten)?;
        // Another process may have been first.
        if is_there() {
            return Ok(());
        }
        let mut part =
            Part::open(&blob.with_extension("part"), expected).with_context(unwritten)?;
        let is_resumed = part.n_bytes() > 0;
        self.remote.fill(name, &mut part, |n_bytes| arrived.tell(n_bytes, name))?;
        if is_resumed && !part.is_whole() {
            // What was left from an earlier run was not the beginning of this file.
            part.restart().with_context(unwritten)?;
            self.remote.fill(name, &mut part, |n_bytes| arrived.tell(n_bytes, name))?;
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

    fn lacks(&self, name: &str) -> anyhow::Error {
        let advice = if self.has("pytorch_model.bin") {
            "; pytorch_model.bin is not read, because opening such a file runs code from it"
        } else {
            ""
        };
        Exit::Unusable.error(format!(
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
    // Some file systems know no locks; there, one has to take care oneself.
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        tell("waiting for another program that fetches the same file");
        file.lock()?;
    }
    Ok(file)
}

impl Arrived {
    fn new(id: &HubId, total: u64) -> Self {
        let name = id.repo().rsplit('/').next().unwrap_or_default();
        let n_megabytes = total.div_ceil(MEGABYTE) as usize;
        let progress =
            (total >= WORTH_A_BAR).then(|| Progress::new(&format!("{name}, MB"), n_megabytes));
        Self { progress, n_bytes: 0 }
    }

    fn tell(&mut self, n_bytes: u64, name: &str) {
        let done = self.n_bytes.saturating_add(n_bytes) / MEGABYTE;
        if let Some(progress) = &mut self.progress {
            progress.set(done as usize, || name.to_owned());
        }
    }

    fn finish(mut self, total: u64) {
        if let Some(progress) = &mut self.progress {
            progress.set(total.div_ceil(MEGABYTE) as usize, String::new);
            progress.finish();
        }
    }
}
