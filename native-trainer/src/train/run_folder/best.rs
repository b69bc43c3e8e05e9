//! `checkpoints/best`: the checkpoint of the best measurement, which is kept when others go.

use std::fs;

use super::checkpoint::{FILES, read_checkpoint, read_state};
use super::{METRICS, RunFolder, Saved};
use crate::files::{self, OutputFolder};

pub(super) const BEST: &str = "best";

impl RunFolder {
    /// Keeps the checkpoint of a step as the best, instead of an earlier one. Its files are links where
    /// the file system has them, so that it takes no space and no time.
    ///
    /// # Errors
    /// When it cannot be written; an earlier one is untouched then.
    pub fn keep_best(&self, step: usize) -> anyhow::Result<()> {
        let source = self.checkpoint_of(step);
        let folder = OutputFolder::create(&self.checkpoints().join(BEST), true)?;
        for name in FILES {
            let (from, to) = (source.join(name), folder.path().join(name));
            if fs::hard_link(&from, &to).is_err() {
                folder.write(name, &files::map_own(&from)?)?;
            }
        }
        folder.commit()?;
        Ok(())
    }

    /// Whether the checkpoint of a step is there.
    pub fn has_checkpoint(&self, step: usize) -> bool {
        self.checkpoint_of(step).is_dir()
    }

    /// The step of the best checkpoint, and the lines of its metrics; `None` where there is none, or it
    /// is damaged.
    pub fn kept_best(&self) -> Option<(usize, String)> {
        let folder = self.checkpoints().join(BEST);
        let state = read_state(&folder).ok()?.state;
        let metrics = fs::read_to_string(folder.join(METRICS)).ok()?;
        Some((state.step, metrics))
    }

    /// The best checkpoint; `None` where there is none.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn best(&self) -> anyhow::Result<Option<Saved>> {
        let folder = self.checkpoints().join(BEST);
        folder.is_dir().then(|| read_checkpoint(&folder)).transpose()
    }
}
