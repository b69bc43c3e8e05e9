//! Files and folders under a temporary name, for as long as they are being written.
//!
//! Their writer holds a lock that the system releases when it is killed, so that the next writer to
//! the same folder can distinguish leftovers from files that are being written.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

use crate::read::parent;

/// Marks partial files as Boomerang's: those of other programs are not touched.
const SUFFIX: &str = ".boomerang.partial";

/// Letters that [`tempfile`] puts between prefix and suffix.
const N_RANDOM: usize = 6;

/// The name of a replaced folder inside of a temporary one, for as long as it takes to rename two.
pub(crate) const OLD: &str = "old";

/// A temporary folder and the lock on it.
#[derive(Debug)]
pub(crate) struct PartialFolder {
    folder: TempDir,
    /// `None` where folders cannot be locked.
    _lock: Option<File>,
}

impl PartialFolder {
    /// Beside `target`, because a rename does not cross file systems.
    pub(crate) fn create(target: &Path) -> io::Result<Self> {
        // The user's umask decides, as for any other folder.
        Self::with_mode(target, 0o777)
    }

    fn with_mode(target: &Path, mode: u32) -> io::Result<Self> {
        let prefix = prefix(target);
        loop {
            let mut builder = Builder::new();
            builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(N_RANDOM);
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
            #[cfg(not(unix))]
            let _ = mode;
            let folder = builder.tempdir_in(parent(target))?;
            match lock(folder.path()) {
                Lock::Held(lock) => return Ok(Self { folder, _lock: Some(lock) }),
                Lock::Unsupported => return Ok(Self { folder, _lock: None }),
                // A cleaning process removed it first.
                Lock::Taken => {}
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the folder where it is, or leaves the name to whoever took it.
    pub(crate) fn keep(self) -> PathBuf {
        self.folder.keep()
    }
}

/// A temporary folder, removed when this is dropped; what a killed program left is removed when the next
/// one is created.
#[derive(Debug)]
pub struct ScratchFolder(PartialFolder);

impl ScratchFolder {
    /// In the system's folder for temporary files, for this user alone.
    ///
    /// # Errors
    /// As of the system, such as a full disk.
    pub fn create(name: &str) -> io::Result<Self> {
        Self::create_in(&std::env::temp_dir(), name)
    }

    fn create_in(parent: &Path, name: &str) -> io::Result<Self> {
        let target = parent.join(name);
        // The parent is shared with other programs and users: nothing else in it is touched, and
        // nothing is restored.
        for (path, _) in partials(parent).filter(|(_, found)| *found == target) {
            if let Lock::Held(_lock) = lock(&path) {
                let _ = fs::remove_dir_all(&path);
            }
        }
        Ok(Self(PartialFolder::with_mode(&target, 0o700)?))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// An empty temporary file beside `target`, locked.
pub(crate) fn create_file(target: &Path) -> io::Result<NamedTempFile> {
    let prefix = prefix(target);
    loop {
        let mut builder = Builder::new();
        builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(N_RANDOM);
        // The user's umask decides, as for any other file; the default is to hide it from others.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(parent(target))?;
        let is_taken = matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
        if !is_taken && file.path().exists() {
            return Ok(file);
        }
    }
}

/// Temporary files and folders in a folder, with their final paths.
fn partials(folder: &Path) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| {
        // Writers make no links: one was put there by somebody else, and may lead anywhere.
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let path = entry.path();
        let target = target_of(&path).filter(|_| !is_link)?;
        Some((path, target))
    })
}

/// Removes the leftovers of killed writers in a folder, and restores what one of them had moved.
pub fn clean(folder: &Path) {
    for (path, target) in partials(folder) {
        let Lock::Held(_lock) = lock(&path) else { continue };
        if !path.is_dir() {
            let _ = fs::remove_file(&path);
            continue;
        }
        let old = path.join(OLD);
        if old.exists() && target.symlink_metadata().is_err() {
            if fs::rename(&old, &target).is_err() {
                continue;
            }
            log::warn!(
                "restored {}, which a killed run had moved to {}",
                target.display(),
                path.display()
            );
        }
        let _ = fs::remove_dir_all(&path);
    }
}

enum Lock {
    Held(File),
    /// By another process, or the path is gone.
    Taken,
    Unsupported,
}

fn lock(path: &Path) -> Lock {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Lock::Taken,
        Err(_) => return Lock::Unsupported,
    };
    match file.try_lock() {
        Ok(()) if path.exists() => Lock::Held(file),
        Ok(()) | Err(TryLockError::WouldBlock) => Lock::Taken,
        Err(TryLockError::Error(_)) => Lock::Unsupported,
    }
}

/// `.name.`: a leftover has its final name in its own.
fn prefix(target: &Path) -> String {
    format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Whether a name is one of these temporary ones.
pub(crate) fn is_partial(name: &OsStr) -> bool {
    target_of(Path::new(name)).is_some()
}

/// The final path of a temporary one; `None` for any other path.
fn target_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name().and_then(OsStr::to_str)?;
    let name = name.strip_prefix('.')?.strip_suffix(SUFFIX)?;
    let (name, random) = name.rsplit_once('.')?;
    let is_random = random.len() == N_RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_random && !name.is_empty()).then(|| path.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::names;

    #[test]
    fn what_a_killed_writer_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.gguf");
        // As a killed process leaves them: without a lock.
        let file = create_file(&target).unwrap().keep().unwrap().1;
        let inner = PartialFolder::create(&target).unwrap().keep();
        fs::write(inner.join("half"), "").unwrap();
        for name in [".b.abcdef.partial", ".boomerang.partial", "a.gguf", ".c.boomerang.partial"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(file.exists() && inner.exists());
        clean(folder.path());
        let left = [".b.abcdef.partial", ".boomerang.partial", ".c.boomerang.partial", "a.gguf"];
        assert_eq!(names(folder.path()), left);
    }

    #[test]
    fn what_is_still_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        let (file, inner) =
            (create_file(&target).unwrap(), PartialFolder::create(&target).unwrap());
        clean(folder.path());
        assert!(file.path().exists() && inner.path().exists());
    }

    #[test]
    fn a_scratch_folder_is_gone_with_its_program_or_when_the_next_is_created() {
        let parent = tempfile::tempdir().unwrap();
        let create = || ScratchFolder::create_in(parent.path(), "gguf").unwrap();
        // As of a killed process: without a lock, and not removed.
        let killed = create().0.keep();
        fs::write(killed.join("weights"), "").unwrap();
        let (one, other) = (create(), create());
        assert!(!killed.exists() && one.path().exists() && other.path().exists());
        drop((one, other));
        assert!(names(parent.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_with_the_name_of_a_leftover_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::create_dir(elsewhere.path().join(OLD)).unwrap();
        let links = [".gguf.abcdef.boomerang.partial", ".x.abcdef.boomerang.partial"];
        for name in links {
            std::os::unix::fs::symlink(elsewhere.path(), folder.path().join(name)).unwrap();
        }
        clean(folder.path());
        drop(ScratchFolder::create_in(folder.path(), "gguf").unwrap());
        assert_eq!(names(folder.path()), links);
        assert_eq!(names(elsewhere.path()), [OLD]);
    }

    #[test]
    fn a_scratch_folder_leaves_what_other_writers_left() {
        let parent = tempfile::tempdir().unwrap();
        let aside = PartialFolder::create(&parent.path().join("model")).unwrap().keep();
        fs::create_dir(aside.join(OLD)).unwrap();
        drop(ScratchFolder::create_in(parent.path(), "gguf").unwrap());
        assert!(aside.join(OLD).exists() && !parent.path().join("model").exists());
    }

    #[test]
    fn a_folder_that_was_moved_aside_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        let aside = PartialFolder::create(&target).unwrap().keep();
        fs::create_dir(aside.join(OLD)).unwrap();
        fs::write(aside.join(OLD).join("weights"), "good").unwrap();
        clean(folder.path());
        assert_eq!(names(folder.path()), ["model"]);
        assert_eq!(fs::read(target.join("weights")).unwrap(), b"good");
    }
}
