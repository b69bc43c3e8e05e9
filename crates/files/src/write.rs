//! One file, written completely or not at all.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Context as _, FileError, Result};
use crate::inputs::refuse_inputs;
use crate::mark::refuse_foreign_file;
use crate::partial::{clean, create_file};
use crate::read::{create_parent, parent};

/// Whether an existing file may be overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    Refused,
    Allowed,
}

impl Overwrite {
    /// The flag `--force`.
    pub fn when(force: bool) -> Self {
        if force { Self::Allowed } else { Self::Refused }
    }
}

/// A single file that a command writes.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    overwrite: Overwrite,
}

impl OutputFile {
    /// Checks before the work that the file may be written; with `force`, also over one that
    /// Boomerang wrote.
    ///
    /// # Errors
    /// When `path` is a folder, is or is inside of an input, or exists and may not be overwritten.
    pub fn create(path: &Path, force: bool) -> Result<Self> {
        let file = Self { path: path.to_owned(), overwrite: Overwrite::when(force) };
        file.check()?;
        create_parent(path)?;
        clean(parent(path));
        Ok(file)
    }

    fn check(&self) -> Result<()> {
        let path = &self.path;
        refuse_inputs(path)?;
        refuse_folder(path)?;
        match self.overwrite {
            Overwrite::Refused if path.symlink_metadata().is_ok() => Err(exists(path)),
            Overwrite::Refused => Ok(()),
            Overwrite::Allowed => refuse_foreign_file(path),
        }
    }

    /// # Errors
    /// As [`OutputFile::create`], and when it cannot be written; an old file is unchanged then.
    pub fn write(self, bytes: &[u8]) -> Result<()> {
        self.write_with(|file| file.write_all(bytes))
    }

    /// As [`OutputFile::write`], for contents that are never in memory as a whole.
    ///
    /// # Errors
    /// As [`OutputFile::write`], and whatever `write` fails with.
    pub fn write_with(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        // Meanwhile there may be more inputs, and another program may have written there.
        self.check()?;
        write_atomic_with(&self.path, self.overwrite, write)
    }
}

/// Writes a file under a temporary name in the same folder, and renames it when it is safe on disk.
///
/// For files inside of a folder that was opened as an output; a command's own output file is an
/// [`OutputFile`].
///
/// # Errors
/// When the file exists and may not be overwritten, or cannot be written; the old file is kept
/// then.
pub fn write_atomic(path: &Path, bytes: &[u8], overwrite: Overwrite) -> Result<()> {
    write_atomic_with(path, overwrite, |file| file.write_all(bytes))
}

/// As [`write_atomic`], for contents that are never in memory as a whole.
///
/// # Errors
/// As [`write_atomic`], and whatever `write` fails with.
pub fn write_atomic_with(
    path: &Path,
    overwrite: Overwrite,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    refuse_folder(path)?;
    // Checked before the work, so that a long run is not lost at its end; and again when renaming.
    if overwrite == Overwrite::Refused && path.symlink_metadata().is_ok() {
        return Err(exists(path));
    }
    create_parent(path)?;
    let unwritten = || format!("{} cannot be written", path.display());
    let file = fill_temporary(path, write).with_context(unwritten)?;
    match overwrite {
        Overwrite::Allowed => file.persist(path),
        Overwrite::Refused => file.persist_noclobber(path),
    }
    .map_err(|failed| match failed.error.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => FileError::Failed { context: unwritten(), source: Box::new(failed.error) },
    })?;
    sync_folder(parent(path));
    Ok(())
}

fn fill_temporary(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<NamedTempFile> {
    let mut file = create_file(path)?;
    let mut buffered = BufWriter::new(file.as_file_mut());
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    file.as_file().sync_all()?;
    Ok(file)
}

fn refuse_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(FileError::Refused(format!("{} is a folder; expected a file", path.display())));
    }
    Ok(())
}

pub(crate) fn exists(path: &Path) -> FileError {
    FileError::Refused(format!("{} exists; add --force to overwrite it", path.display()))
}

/// Makes a rename durable, on the systems that can.
pub(crate) fn sync_folder(folder: &Path) {
    // The rename has happened; there is nothing left to report to anyone.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::inputs::note_input;
    use crate::testing::names;

    #[test]
    fn an_existing_file_is_kept_without_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_atomic(&path, b"old", Overwrite::Refused).unwrap();
        let error = write_atomic(&path, b"new", Overwrite::Refused).unwrap_err();
        assert!(error.to_string().ends_with("a.json exists; add --force to overwrite it"));
        assert!(matches!(error, FileError::Refused(_)));
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn an_existing_file_gives_way_to_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for content in [b"old", b"new"] {
            write_atomic(&path, content, Overwrite::Allowed).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn force_does_not_overwrite_what_somebody_else_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::write(&path, "{\"mine\": 1}").unwrap();
        let error = OutputFile::create(&path, true).unwrap_err();
        assert!(error.to_string().contains("was not written by Boomerang"), "{error}");
        assert!(matches!(error, FileError::Refused(_)));
    }

    #[test]
    fn an_input_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("order.json");
        fs::write(&path, "{\"format\": \"boomerang-order\"}").unwrap();
        let output = OutputFile::create(&path, true).unwrap();
        note_input(&path);
        assert!(matches!(output.write(b"{}").unwrap_err(), FileError::Refused(_)));
        assert!(matches!(OutputFile::create(&path, true).unwrap_err(), FileError::Refused(_)));
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_atomic(&path, b"old", Overwrite::Refused).unwrap();
        let error = write_atomic_with(&path, Overwrite::Allowed, |file| {
            file.write_all(b"half of the n")?;
            Err(ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        let FileError::Failed { source, .. } = error else { panic!("{error}") };
        let kind = source.downcast_ref().map(io::Error::kind);
        assert_eq!(kind, Some(ErrorKind::StorageFull));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn folders_on_the_way_are_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs/first/a.json");
        write_atomic(&path, b"{}", Overwrite::Refused).unwrap();
        assert_eq!(names(path.parent().unwrap()), ["a.json"]);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_a_file_as_the_umask_says() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [usual, ours] = ["usual", "ours"].map(|name| folder.path().join(name));
        fs::write(&usual, "").unwrap();
        write_atomic(&ours, b"", Overwrite::Refused).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&usual));
    }
}
