//! A result folder, there when it is finished and not before.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::{Builder, TempDir};

use super::write::{Overwrite, exists, hidden_prefix, sync_folder, write_atomic};
use super::{create_parent, parent};
use crate::exit::Exit;

/// A folder that a command fills under a hidden name beside the final one.
///
/// [`OutputFolder::commit`] gives it its name. Without that, dropping it removes it, and what was
/// under the final name before is untouched.
#[derive(Debug)]
pub struct OutputFolder {
    staging: TempDir,
    target: PathBuf,
    overwrite: Overwrite,
}

impl OutputFolder {
    /// Prepares the folder `target`; an empty one that is already there is as good as none. With
    /// `force` it will take the place of a full one.
    ///
    /// # Errors
    /// When `target` is a file, holds something and may not be replaced, or contains the current
    /// folder or the home folder.
    pub fn create(target: &Path, force: bool) -> anyhow::Result<Self> {
        let overwrite = Overwrite::when(force);
        check(target, overwrite)?;
        create_parent(target)?;
        let staging = hidden_sibling(target)
            .with_context(|| format!("no folder can be created beside {}", target.display()))?;
        Ok(Self { staging, target: target.to_owned(), overwrite })
    }

    /// Refuses to replace a folder that the command reads from.
    ///
    /// # Errors
    /// Names the input that lies in the target.
    pub fn apart_from(self, inputs: &[&Path]) -> anyhow::Result<Self> {
        match inputs.iter().find(|input| contains(&self.target, input)) {
            None => Ok(self),
            Some(input) => Err(Exit::Usage.error(format!(
                "{} holds the input {}; choose another folder for the result",
                self.target.display(),
                input.display()
            ))),
        }
    }

    /// Writes one file of the result.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        write_atomic(&self.path().join(name), bytes, Overwrite::Allowed)
            .with_context(|| format!("{} is left as it was", self.target.display()))
    }

    /// Where to write, until the folder is finished.
    pub fn path(&self) -> &Path {
        self.staging.path()
    }

    /// The folder's final name.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the folder its name, and returns it. With force an older folder is removed only now.
    ///
    /// # Errors
    /// When it cannot be renamed; then an older folder is back in its place.
    pub fn commit(self) -> anyhow::Result<PathBuf> {
        let Self { staging, target, overwrite } = self;
        // Meanwhile another program may have written there.
        check(&target, overwrite)?;
        let old = move_aside(&target)?;
        if let Err(error) = fs::rename(staging.path(), &target) {
            if let Some(old) = old {
                fs::rename(old.path().join(OLD), &target).with_context(|| {
                    format!("the old {} is now in {}", target.display(), old.keep().display())
                })?;
            }
            let context = format!("{} cannot be created", target.display());
            return Err(anyhow::Error::new(error).context(context));
        }
        // It has another name now, so there is nothing to remove.
        let _ = staging.keep();
        sync_folder(parent(&target));
        Ok(target)
    }
}

/// The name of a replaced folder inside a hidden sibling, for as long as it takes to rename two.
const OLD: &str = "old";

fn move_aside(target: &Path) -> anyhow::Result<Option<TempDir>> {
    if target.symlink_metadata().is_err() {
        return Ok(None);
    }
    let replaced = || format!("{} cannot be replaced", target.display());
    let aside = hidden_sibling(target).with_context(replaced)?;
    fs::rename(target, aside.path().join(OLD)).with_context(replaced)?;
    Ok(Some(aside))
}

/// In the same folder, because a rename does not cross file systems.
fn hidden_sibling(target: &Path) -> std::io::Result<TempDir> {
    let prefix = hidden_prefix(target);
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(".partial");
    // The user's umask decides, as for any other folder.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(parent(target))
}

fn check(target: &Path, overwrite: Overwrite) -> anyhow::Result<()> {
    let shown = target.display();
    if target.file_name().is_none() {
        return Err(Exit::Usage.error(format!("{shown} has no name; name a folder to create")));
    }
    if target.symlink_metadata().is_err() {
        return Ok(());
    }
    if !target.is_dir() {
        return Err(Exit::Usage.error(format!("{shown} is a file; name a folder to create")));
    }
    let is_empty =
        fs::read_dir(target).with_context(|| format!("{shown} cannot be read"))?.next().is_none();
    if !is_empty && overwrite == Overwrite::Refused {
        return Err(exists(target));
    }
    let precious = [std::env::current_dir().ok(), std::env::home_dir()];
    match precious.into_iter().flatten().find(|folder| contains(target, folder)) {
        None => Ok(()),
        Some(folder) => Err(Exit::Usage.error(format!(
            "{shown} would be replaced, and {} with it; choose another folder",
            folder.display()
        ))),
    }
}

/// Whether `inner` is `outer` or lies in it.
fn contains(outer: &Path, inner: &Path) -> bool {
    match (fs::canonicalize(outer), fs::canonicalize(inner)) {
        (Ok(outer), Ok(inner)) => inner.starts_with(outer),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::names;
    use super::*;
    use crate::exit::{code_of, describe};

    /// `result/old.txt` in a folder of its own.
    fn with_old_result() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("result");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("old.txt"), "old").unwrap();
        (folder, target)
    }

    #[test]
    fn a_finished_folder_has_its_name_and_leaves_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let output = OutputFolder::create(&folder.path().join("result"), false).unwrap();
        output.write("a.txt", b"a").unwrap();
        let target = output.commit().unwrap();
        assert_eq!(names(&target), ["a.txt"]);
        assert_eq!(names(folder.path()), ["result"]);
    }

    #[test]
    fn an_unfinished_folder_disappears_and_the_old_one_stays() {
        let (folder, target) = with_old_result();
        let output = OutputFolder::create(&target, true).unwrap();
        output.write("half.txt", b"ha").unwrap();
        drop(output);
        assert_eq!(names(folder.path()), ["result"]);
        assert_eq!(names(&target), ["old.txt"]);
    }

    #[test]
    fn force_replaces_the_old_folder_as_a_whole() {
        let (folder, target) = with_old_result();
        let output = OutputFolder::create(&target, true).unwrap();
        output.write("new.txt", b"new").unwrap();
        output.commit().unwrap();
        assert_eq!(names(&target), ["new.txt"]);
        assert_eq!(names(folder.path()), ["result"]);
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused_without_force() {
        let (_folder, target) = with_old_result();
        let error = OutputFolder::create(&target, false).unwrap_err();
        assert!(describe(&error).ends_with("result exists; add --force to replace it"));
        assert_eq!(code_of(&error), Exit::Usage);
    }

    #[test]
    fn an_empty_folder_may_be_there_already() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("result");
        fs::create_dir(&target).unwrap();
        let output = OutputFolder::create(&target, false).unwrap();
        output.write("a.txt", b"a").unwrap();
        assert_eq!(names(&output.commit().unwrap()), ["a.txt"]);
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
    fn force_does_not_replace_the_folder_we_stand_in() {
        let mut outer = std::env::current_dir().unwrap();
        outer.pop();
        assert!(OutputFolder::create(&outer, true).is_err());
    }

    #[test]
    fn an_input_is_not_replaced_by_its_own_result() {
        let (_folder, target) = with_old_result();
        let output = OutputFolder::create(&target, true).unwrap();
        assert!(output.apart_from(&[&target.join("old.txt")]).is_err());
        assert_eq!(names(&target), ["old.txt"]);
    }
}
