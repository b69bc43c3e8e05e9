//! Reading a command's inputs: mapped, whole or as text. Every message names the path.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Context as _, FileError, Result};
use crate::inputs::note_input;

/// A file's bytes, read from disk on access.
///
/// If another program truncates the file meanwhile, this process is killed.
pub struct Mapped {
    file: File,
    // The system maps no empty files.
    bytes: Option<Mmap>,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Mapped {
    /// Releases the memory of bytes in this mapping; they are read from the file again on access.
    /// Other bytes are ignored.
    pub fn release(&self, bytes: &[u8]) {
        #[cfg(unix)]
        if let (Some(offset), Some(map)) = (self.offset_of(bytes), &self.bytes) {
            // SAFETY: the mapping is of a file and read-only, so that what is dropped here comes
            // back as it was.
            let outcome = unsafe {
                map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    offset as usize,
                    bytes.len(),
                )
            };
            // If the advice is ignored, this only costs memory.
            let _ = outcome;
        }
        #[cfg(not(unix))]
        let _ = bytes;
    }

    /// The file behind the mapping.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The offset in the file of bytes in this mapping.
    pub fn offset_of(&self, bytes: &[u8]) -> Option<u64> {
        let (all, part) = (self.as_ptr_range(), bytes.as_ptr_range());
        let is_inside = all.start <= part.start && part.end <= all.end;
        is_inside.then(|| (part.start.addr() - all.start.addr()) as u64)
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

/// Maps an input for reading.
///
/// # Errors
/// Names the path and the reason.
pub fn map(path: &Path) -> Result<Mapped> {
    note_input(path);
    map_own(path)
}

/// As [`map`], for a file that is not an input but belongs to the output.
///
/// # Errors
/// As [`map`].
pub fn map_own(path: &Path) -> Result<Mapped> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, error))?;
    if metadata.is_dir() {
        return Err(unreadable(path, ErrorKind::IsADirectory.into()));
    }
    if metadata.len() == 0 {
        return Ok(Mapped { file, bytes: None });
    }
    // SAFETY: the mapping is read-only and lives as long as the value that owns it. The bytes may
    // change when another program writes to the file; parsers check every size.
    let bytes = unsafe { Mmap::map(&file) }.map_err(|error| unreadable(path, error))?;
    Ok(Mapped { file, bytes: Some(bytes) })
}

/// An input's bytes.
///
/// # Errors
/// Names the path and the reason.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    note_input(path);
    read_own(path)
}

/// As [`read`], for a file that belongs to the output: a run resumes from its own checkpoints and
/// replaces them.
///
/// # Errors
/// As [`read`].
pub fn read_own(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| unreadable(path, error))
}

/// # Errors
/// As [`read`], and when the file is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    to_text(path, read(path)?)
}

/// As [`read_text`], for a file that belongs to the output.
///
/// # Errors
/// As [`read_text`].
pub fn read_own_text(path: &Path) -> Result<String> {
    to_text(path, read_own(path)?)
}

fn to_text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let position = error.utf8_error().valid_up_to();
        FileError::Unusable(format!(
            "{}: not a text file; byte {position} is not UTF-8",
            path.display()
        ))
    })
}

/// A path for messages and records, with non-Unicode parts replaced.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// An input's bytes; `None` when the file does not exist.
///
/// # Errors
/// As [`read`].
pub fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>> {
    note_input(path);
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        // A path inside of a file, such as a recipe, does not exist either.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(unreadable(path, error)),
    }
}

fn unreadable(path: &Path, error: io::Error) -> FileError {
    match error.kind() {
        ErrorKind::NotFound => FileError::Unusable(format!(
            "{}: no such file; {}",
            path.display(),
            describe_folder(parent(path))
        )),
        ErrorKind::IsADirectory => {
            FileError::Unusable(format!("{} is a folder; expected a file", path.display()))
        }
        _ => FileError::Failed {
            context: format!("{} cannot be read", path.display()),
            source: Box::new(error),
        },
    }
}

/// The contents of a folder, for a mistyped name.
pub fn describe_folder(folder: &Path) -> String {
    const N_NAMED: usize = 6;
    let Ok(entries) = fs::read_dir(folder) else {
        return format!("the folder {} does not exist either", folder.display());
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    let more = if names.len() > N_NAMED { ", …" } else { "" };
    names.truncate(N_NAMED);
    if names.is_empty() {
        return format!("the folder {} is empty", folder.display());
    }
    format!("the folder {} contains {}{more}", folder.display(), names.join(", "))
}

/// The parent folder of `path`; `.` for a bare name.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

pub(crate) fn create_parent(path: &Path) -> Result<()> {
    let folder = parent(path);
    fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} cannot be created", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_maps_to_no_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        fs::write(&path, "").unwrap();
        assert!(map(&path).unwrap().is_empty());
    }

    #[test]
    fn a_mapping_holds_the_files_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "abc").unwrap();
        assert_eq!(&*map(&path).unwrap(), b"abc");
    }

    #[test]
    fn a_missing_file_is_answered_with_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), "{}").unwrap();
        let error = read(&folder.path().join("confg.json")).unwrap_err();
        assert!(error.to_string().contains("no such file"), "{error}");
        assert!(error.to_string().contains("contains config.json"), "{error}");
        assert!(matches!(error, FileError::Unusable(_)));
    }

    #[test]
    fn a_folder_is_not_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for error in [map(folder.path()).err(), read(folder.path()).err()] {
            assert!(error.unwrap().to_string().ends_with("is a folder; expected a file"));
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::write(&path, b"{\xff}").unwrap();
        assert!(read_text(&path).unwrap_err().to_string().ends_with("byte 1 is not UTF-8"));
    }
}
