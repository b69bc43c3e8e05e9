//! Reading inputs, and writing outputs safely.
//!
//! What a command reads is recorded ([`note_input`]), and no output may touch it. Outputs are
//! written under a temporary name and renamed when they are complete; `--force` overwrites only
//! what carries Boomerang's mark. A failed write leaves the old file or folder unchanged.
//!
//! File formats are left to `boomerang-core`, model folders to the trainer.

mod error;
mod folder;
mod inputs;
mod mark;
mod partial;
mod read;
mod write;

#[cfg(test)]
mod testing;

pub use error::{FileError, Result};
pub use folder::OutputFolder;
pub use inputs::{forget_inputs, note_input, refuse_inputs};
pub use mark::{
    YAML_MARK, is_bookkeeping, mark_as_ours, refuse_foreign_folder, refuse_unmarked, remove_output,
};
pub use partial::{ScratchFolder, clean};
pub use read::{
    Mapped, describe_folder, map, map_own, parent, read, read_if_present, read_own, read_own_text,
    read_text, shown,
};
pub use write::{OutputFile, Overwrite, write_atomic, write_atomic_with};
