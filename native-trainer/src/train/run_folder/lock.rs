//! One writer for each run: a lock that the system releases when its process dies.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::Context as _;

use crate::exit::Exit;

pub(super) const LOCK: &str = ".lock";

/// Held for as long as it lives.
#[derive(Debug)]
pub(super) struct RunLock {
    file: File,
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Closing the file is not enough while a process that is just being started still has it, too.
        // Where there are no locks there is nothing to release.
        let _ = self.file.unlock();
    }
}

impl RunLock {
    /// # Errors
    /// When another process holds it.
    pub(super) fn take(run: &Path) -> anyhow::Result<Self> {
        let path = run.join(LOCK);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Exit::Usage.error(format!(
                "another process is writing to the run in {}; wait for it, or choose another folder",
                run.display()
            ))),
            // Some file systems have no locks; there, nothing prevents a second writer.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { file }),
        }
    }
}
