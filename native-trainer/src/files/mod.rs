//! Folders and files of models: opened, checked and written.
//!
//! `boomerang-files` reads and replaces files safely, and is re-exported here; `boomerang-core`
//! parses their bytes.

mod beside;
pub mod chat;
pub mod documents;
mod fingerprint;
mod gguf;
mod imported;
mod in_memory;
mod kinds;
mod markers;
mod model;
mod parts;
pub mod pieces;
mod recipe;
mod stream;
mod student;
#[cfg(test)]
mod testing;
mod tokenizer;
mod weights;

pub use boomerang_files::{
    Mapped, OutputFile, OutputFolder, Overwrite, YAML_MARK, clean, forget_inputs, is_bookkeeping,
    map, map_own, mark_as_ours, note_input, read, read_own, read_own_text, read_text,
    refuse_foreign_folder, refuse_inputs, refuse_unmarked, remove_output, shown, write_atomic,
    write_atomic_with,
};
use boomerang_files::{describe_folder, parent, read_if_present};
pub use fingerprint::{ModelFingerprint, write_fingerprints};
pub use gguf::{GgufFile, gguf_plan, is_gguf, name_gguf, write_conversion, write_gguf_member};
pub use kinds::require_next_token;
pub use markers::{eos_token, markers};
pub use model::ModelFolder;
pub use recipe::{RECIPE, RecipeFile, member};
pub use stream::{Sources, WeightsFormat, write_hashed, write_weights};
