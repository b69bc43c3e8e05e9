//! The mark of Boomerang's own output: without it nothing is overwritten, even with `--force`.
//!
//! A folder has a file that lists what was written there. A single file has the mark in its own
//! metadata, so that it needs no second file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use boomerang_core::bundle::hex;
use boomerang_core::gguf::Gguf;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::error::{Context as _, FileError, Result};
use crate::partial::is_partial;
use crate::read::map_own;
use crate::write::{Overwrite, write_atomic};

/// The name of the list in a folder.
pub(crate) const MARK: &str = ".boomerang.json";

/// Larger files are recognized only by length and time; hashing them would take as long as writing.
const MOST_HASHED: u64 = 16 << 20;

/// What was written to a folder, by path inside of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Mark {
    boomerang: String,
    files: BTreeMap<String, Written>,
}

/// The state of a file when it was written.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u64,
    /// Of small files: a copy of the folder has other times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl Mark {
    /// The mark of everything in the folder.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let paths = files_of(folder)?;
        let files = paths.iter().map(|path| Ok((name_in(folder, path), Written::of(path)?)));
        let files = files.collect::<io::Result<_>>()?;
        Ok(Self { boomerang: env!("CARGO_PKG_VERSION").to_owned(), files })
    }

    /// `None` for a folder that Boomerang did not write.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(MARK)).ok()?).ok()
    }

    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        Ok(format!("{}\n", serde_json::to_string(self).with_context(|| MARK.to_owned())?)
            .into_bytes())
    }

    /// The first file of the folder that Boomerang did not write, or that was changed afterwards.
    fn foreign(&self, folder: &Path) -> io::Result<Option<(PathBuf, &'static str)>> {
        for path in files_of(folder)? {
            match self.files.get(&name_in(folder, &path)) {
                None => return Ok(Some((path, "was not written by Boomerang"))),
                Some(written) if !written.is(&path)? => {
                    return Ok(Some((path, "was changed after Boomerang wrote it")));
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }
}

impl Written {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = path.symlink_metadata()?;
        let bytes = metadata.len();
        let sha256 = (bytes <= MOST_HASHED).then(|| sha256(path)).transpose()?;
        Ok(Self { bytes, modified: modified(&metadata), sha256 })
    }

    fn is(&self, path: &Path) -> io::Result<bool> {
        let metadata = path.symlink_metadata()?;
        if !metadata.is_file() || metadata.len() != self.bytes {
            return Ok(false);
        }
        if modified(&metadata) == self.modified {
            return Ok(true);
        }
        match &self.sha256 {
            Some(expected) => Ok(*expected == sha256(path)?),
            None => Ok(false),
        }
    }
}

/// Refuses to overwrite a folder unless everything in it is Boomerang's own output.
///
/// # Errors
/// Names the folder, and the foreign file in it.
pub fn refuse_foreign_folder(folder: &Path) -> Result<()> {
    let unreadable = || format!("{} cannot be read", folder.display());
    if fs::read_dir(folder).with_context(unreadable)?.next().is_none() {
        return Ok(());
    }
    match refuse_unmarked(folder)?.foreign(folder).with_context(unreadable)? {
        None => Ok(()),
        Some((path, why)) => Err(FileError::Refused(format!(
            "{} {why}, so --force does not overwrite {}; move it away or choose another path",
            path.display(),
            folder.display()
        ))),
    }
}

/// Refuses to write to a folder without Boomerang's mark, and returns the mark.
///
/// # Errors
/// Names the folder.
pub fn refuse_unmarked(folder: &Path) -> Result<Mark> {
    Mark::read(folder).ok_or_else(|| {
        FileError::Refused(format!(
            "{} was not written by Boomerang (it has no {MARK}), so --force does not overwrite it; \
             move it away or choose another path",
            folder.display()
        ))
    })
}

/// Marks a folder with changing files as Boomerang's.
///
/// # Errors
/// When the mark cannot be written.
pub fn mark_as_ours(folder: &Path) -> Result<()> {
    let mark = Mark { boomerang: env!("CARGO_PKG_VERSION").to_owned(), files: BTreeMap::new() };
    write_atomic(&folder.join(MARK), &mark.to_json()?, Overwrite::Allowed)
}

/// Whether a name in a folder is the mark, or that of a partial file.
pub fn is_bookkeeping(name: &OsStr) -> bool {
    name == MARK || is_partial(name)
}

/// Refuses to overwrite a file without Boomerang's mark.
///
/// # Errors
/// Names the file.
pub(crate) fn refuse_foreign_file(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err() || is_marked(path) {
        return Ok(());
    }
    Err(FileError::Refused(format!(
        "{} was not written by Boomerang, so --force does not overwrite it; move it away or choose \
         another path",
        path.display()
    )))
}

/// Removes a folder with nothing but Boomerang's own output.
///
/// # Errors
/// As [`refuse_foreign_folder`], and when it cannot be removed.
pub fn remove_output(folder: &Path) -> Result<()> {
    if folder.symlink_metadata().is_err() {
        return Ok(());
    }
    refuse_foreign_folder(folder)?;
    fs::remove_dir_all(folder).with_context(|| format!("{} cannot be removed", folder.display()))
}

/// Whether a file's metadata has Boomerang's mark.
fn is_marked(path: &Path) -> bool {
    if !path.is_file() {
        return false;
    }
    // Not recorded as an input: a file that is checked here is an output.
    let Ok(mapped) = map_own(path) else { return false };
    let bytes: &[u8] = &mapped;
    if let Ok(gguf) = Gguf::parse(bytes) {
        return gguf.metadata.get("boomerang.version").is_some();
    }
    if bytes.starts_with(YAML_MARK.as_bytes()) {
        return true;
    }
    if let Some(header) = safetensors_header(bytes) {
        return header.pointer("/__metadata__/boomerang.version").is_some();
    }
    let format = serde_json::from_slice::<Value>(bytes).ok();
    let format = format.as_ref().and_then(|json| json.get("format")).and_then(Value::as_str);
    format.is_some_and(|format| format.starts_with("boomerang-"))
}

/// The first words of a YAML file of ours.
pub const YAML_MARK: &str = "# Written by Boomerang";

fn safetensors_header(bytes: &[u8]) -> Option<Value> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    serde_json::from_slice(rest.get(..length)?).ok()
}

/// Everything below a folder that is not a folder, but for the mark.
fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(&inner)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.path() != folder.join(MARK) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn name_in(folder: &Path, path: &Path) -> String {
    let inner = path.strip_prefix(folder).unwrap_or(path);
    let names: Vec<_> = inner.iter().map(|name| name.to_string_lossy()).collect();
    names.join("/")
}

fn modified(metadata: &Metadata) -> u64 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

fn sha256(path: &Path) -> io::Result<String> {
    Ok(hex(&Sha256::digest(fs::read(path)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a marked file.
    fn output() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        fs::write(folder.path().join("inner/a.txt"), "written").unwrap();
        let mark = Mark::of(folder.path()).unwrap().to_json().unwrap();
        fs::write(folder.path().join(MARK), mark).unwrap();
        folder
    }

    fn refusal(folder: &Path) -> String {
        let error = refuse_foreign_folder(folder).unwrap_err();
        assert!(matches!(error, FileError::Refused(_)));
        error.to_string()
    }

    #[test]
    fn own_output_may_be_overwritten() {
        let folder = output();
        refuse_foreign_folder(folder.path()).unwrap();
        let empty = tempfile::tempdir().unwrap();
        refuse_foreign_folder(empty.path()).unwrap();
    }

    #[test]
    fn a_copy_of_own_output_is_own_output() {
        let (folder, copy) = (output(), tempfile::tempdir().unwrap());
        fs::create_dir(copy.path().join("inner")).unwrap();
        for name in [MARK, "inner/a.txt"] {
            let text = fs::read(folder.path().join(name)).unwrap();
            fs::write(copy.path().join(name), text).unwrap();
        }
        refuse_foreign_folder(copy.path()).unwrap();
    }

    #[test]
    fn a_file_of_somebody_else_is_named() {
        let folder = output();
        fs::write(folder.path().join("inner/notes.md"), "mine").unwrap();
        assert!(refusal(folder.path()).contains("notes.md was not written by Boomerang"));
    }

    #[test]
    fn a_file_that_was_changed_is_named() {
        let folder = output();
        fs::write(folder.path().join("inner/a.txt"), "changed").unwrap();
        assert!(refusal(folder.path()).contains("a.txt was changed after Boomerang wrote it"));
    }

    #[test]
    fn a_folder_without_the_mark_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.safetensors"), "weights").unwrap();
        assert!(refusal(folder.path()).contains("it has no .boomerang.json"));
    }

    #[test]
    fn a_file_is_marked_in_its_own_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let header = br#"{"__metadata__":{"boomerang.version":"1"}}"#;
        let tensors = [&(header.len() as u64).to_le_bytes()[..], header].concat();
        for (bytes, is_ours) in [
            (&br#"{"format": "boomerang-order"}"#[..], true),
            (br#"{"format": "other"}"#, false),
            (b"# Written by Boomerang 1\nslices: []\n", true),
            (b"slices: []\n", false),
            (b"notes about boomerang", false),
            (b"", false),
            (&tensors, true),
        ] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(refuse_foreign_file(&path).is_ok(), is_ours, "{bytes:?}");
        }
    }
}
