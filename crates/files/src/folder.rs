//! An output folder that appears only when it is complete.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Context as _, FileError, Result};
use crate::inputs::refuse_inputs;
use crate::mark::{MARK, Mark, refuse_foreign_folder};
use crate::partial::{OLD, PartialFolder, clean};
use crate::read::{create_parent, parent};
use crate::write::{Overwrite, exists, sync_folder, write_atomic, write_atomic_with};

/// A folder that a command fills under a hidden name beside the final one.
///
/// [`OutputFolder::commit`] gives it its name. Without that, dropping it removes it, and an
/// existing folder with the final name is untouched.
#[derive(Debug)]
pub struct OutputFolder {
    staging: PartialFolder,
    target: PathBuf,
    overwrite: Overwrite,
}

impl OutputFolder {
    /// Prepares the folder `target`; an existing empty one is accepted. With `force` it will
    /// overwrite one that Boomerang wrote, and no other.
    ///
    /// # Errors
    /// When `target` is a file, is, contains or is inside of an input, contains something that may
    /// not be overwritten, or contains the current folder or the home folder.
    pub fn create(target: &Path, force: bool) -> Result<Self> {
        let overwrite = Overwrite::when(force);
        check(target, overwrite)?;
        create_parent(target)?;
        clean(parent(target));
        let staging = PartialFolder::create(target)
            .with_context(|| format!("cannot create a folder beside {}", target.display()))?;
        Ok(Self { staging, target: target.to_owned(), overwrite })
    }

    /// Writes one file of the result.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_atomic(&self.path().join(name), bytes, Overwrite::Allowed)
            .with_context(|| format!("{} is unchanged", self.target.display()))
    }

    /// As [`OutputFolder::write`], for contents that are never in memory as a whole.
    ///
    /// # Errors
    /// As [`OutputFolder::write`], and whatever `write` fails with.
    pub fn write_with(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        write_atomic_with(&self.path().join(name), Overwrite::Allowed, write)
            .with_context(|| format!("{} is unchanged", self.target.display()))
    }

    /// Where to write, until the folder is committed.
    pub fn path(&self) -> &Path {
        self.staging.path()
    }

    /// The folder's final name.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the folder its name, and returns it. With force, an older folder is removed only now.
    ///
    /// # Errors
    /// When it cannot be renamed; then an older folder is restored.
    pub fn commit(self) -> Result<PathBuf> {
        let mark = Mark::of(self.path())
            .with_context(|| format!("{} cannot be read", self.path().display()))?;
        self.write(MARK, &mark.to_json()?)?;
        let Self { staging, target, overwrite } = self;
        // Meanwhile there may be more inputs, and another program may have written there.
        check(&target, overwrite)?;
        let old = move_aside(&target)?;
        if let Err(error) = fs::rename(staging.path(), &target) {
            if let Some(old) = old {
                fs::rename(old.path().join(OLD), &target).with_context(|| {
                    format!("the old {} is now in {}", target.display(), old.keep().display())
                })?;
            }
            let context = format!("{} cannot be created", target.display());
            return Err(FileError::Failed { context, source: Box::new(error) });
        }
        // It has another name now, so there is nothing to remove.
        let _ = staging.keep();
        sync_folder(parent(&target));
        Ok(target)
    }
}

fn move_aside(target: &Path) -> Result<Option<PartialFolder>> {
    if target.symlink_metadata().is_err() {
        return Ok(None);
    }
    let replaced = || format!("{} cannot be replaced", target.display());
    let aside = PartialFolder::create(target).with_context(replaced)?;
    fs::rename(target, aside.path().join(OLD)).with_context(replaced)?;
    Ok(Some(aside))
}

fn check(target: &Path, overwrite: Overwrite) -> Result<()> {
    let shown = target.display();
    if target.file_name().is_none() {
        return Err(FileError::Refused(format!(
            "{shown} has no name; expected a folder to create"
        )));
    }
    refuse_inputs(target)?;
    if target.symlink_metadata().is_err() {
        return Ok(());
    }
    if !target.is_dir() {
        return Err(FileError::Refused(format!("{shown} is a file; expected a folder to create")));
    }
    let is_empty =
        fs::read_dir(target).with_context(|| format!("{shown} cannot be read"))?.next().is_none();
    if !is_empty && overwrite == Overwrite::Refused {
        return Err(exists(target));
    }
    let precious = [std::env::current_dir().ok(), std::env::home_dir()];
    match precious.into_iter().flatten().find(|folder| contains(target, folder)) {
        None => refuse_foreign_folder(target),
        Some(folder) => Err(FileError::Refused(format!(
            "{shown} contains {}, so it is not overwritten; choose another folder",
            folder.display()
        ))),
    }
}

/// Whether `inner` is `outer` or inside of it.
fn contains(outer: &Path, inner: &Path) -> bool {
    match (fs::canonicalize(outer), fs::canonicalize(inner)) {
        (Ok(outer), Ok(inner)) => inner.starts_with(outer),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::inputs::{forget_inputs, note_input};
    use crate::testing::names;

    /// `result/old.txt` in a folder of its own.
    fn with_old_result() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("result");
        let output = OutputFolder::create(&target, false).unwrap();
        output.write("old.txt", b"old").unwrap();
        output.commit().unwrap();
        (folder, target)
    }

    #[test]
    fn a_committed_folder_has_its_name_and_leaves_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let output = OutputFolder::create(&folder.path().join("result"), false).unwrap();
        output.write("a.txt", b"a").unwrap();
        let target = output.commit().unwrap();
        assert_eq!(names(&target), [MARK, "a.txt"]);
        assert_eq!(names(folder.path()), ["result"]);
    }

    #[test]
    fn an_unfinished_folder_disappears_and_the_old_one_stays() {
        let (folder, target) = with_old_result();
        let output = OutputFolder::create(&target, true).unwrap();
        output.write("half.txt", b"ha").unwrap();
        drop(output);
        assert_eq!(names(folder.path()), ["result"]);
        assert_eq!(names(&target), [MARK, "old.txt"]);
    }

    #[test]
    fn force_replaces_the_old_folder_as_a_whole() {
        let (folder, target) = with_old_result();
        let output = OutputFolder::create(&target, true).unwrap();
        output.write("new.txt", b"new").unwrap();
        output.commit().unwrap();
        assert_eq!(names(&target), [MARK, "new.txt"]);
        assert_eq!(names(folder.path()), ["result"]);
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused_without_force() {
        let (_folder, target) = with_old_result();
        let error = OutputFolder::create(&target, false).unwrap_err();
        assert!(error.to_string().ends_with("result exists; add --force to overwrite it"));
        assert!(matches!(error, FileError::Refused(_)));
    }

    #[test]
    fn an_empty_folder_may_be_there_already() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("result");
        fs::create_dir(&target).unwrap();
        let output = OutputFolder::create(&target, false).unwrap();
        output.write("a.txt", b"a").unwrap();
        assert_eq!(names(&output.commit().unwrap()), [MARK, "a.txt"]);
    }

    #[test]
    fn a_folder_that_was_filled_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("result");
        let output = OutputFolder::create(&target, false).unwrap();
        fs::create_dir(&target).unwrap();
        fs::write(target.join("other.txt"), "").unwrap();
        assert!(output.commit().is_err());
        assert_eq!(names(&target), ["other.txt"]);
        assert_eq!(names(folder.path()), ["result"]);
    }

    #[test]
    fn force_does_not_overwrite_the_current_folder() {
        let mut outer = std::env::current_dir().unwrap();
        outer.pop();
        assert!(OutputFolder::create(&outer, true).is_err());
    }

    #[test]
    fn force_does_not_overwrite_what_somebody_else_wrote() {
        let (_folder, target) = with_old_result();
        fs::write(target.join("mine.txt"), "mine").unwrap();
        let error = OutputFolder::create(&target, true).unwrap_err();
        assert!(matches!(error, FileError::Refused(_)));
        assert!(error.to_string().contains("mine.txt was not written by Boomerang"), "{error}");
        assert_eq!(names(&target), [MARK, "mine.txt", "old.txt"]);
    }

    #[test]
    fn an_input_is_not_overwritten_by_its_own_result() {
        let (_folder, target) = with_old_result();
        note_input(&target.join("old.txt"));
        assert!(matches!(OutputFolder::create(&target, true).unwrap_err(), FileError::Refused(_)));
        forget_inputs();
        let output = OutputFolder::create(&target, true).unwrap();
        // Read only after the output was opened.
        note_input(&target.join("old.txt"));
        assert!(matches!(output.commit().unwrap_err(), FileError::Refused(_)));
        assert_eq!(names(&target), [MARK, "old.txt"]);
    }
}
