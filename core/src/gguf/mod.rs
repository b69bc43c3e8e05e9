//! GGUF, the file format of llama.cpp: read, written, and members put together from it.
//!
//! Bytes in, values out, as everywhere in `core`. A file is taken apart by [`Gguf`]; a model of
//! ours becomes one by [`Conversion`], a tensor at a time and each in pieces; a member of two GGUF
//! files is put together by [`GgufFamily`] from their tensors as they are.

mod convert;
mod encode;
mod finite;
mod member;
mod metadata;
mod read;
mod rows;
mod tensor;
mod tokenizer;
mod types;
mod value;
mod write;

use thiserror::Error;

use crate::checkpoint::CheckpointError;
use crate::plan::Owner;

pub use convert::Conversion;
pub use encode::Encoding;
pub use member::{GgufFamily, GgufMember};
pub use metadata::{plan_of_metadata, plan_to_metadata};
pub use read::{Gguf, GgufTensor};
pub use tensor::Converted;
pub use tokenizer::{TokenizerFiles, describe_tokenizer};
pub use types::GgufType;
pub use value::{GgufArray, GgufValue, Metadata};
pub use write::{Announced, header, padding};

/// The first bytes of every file.
pub const MAGIC: &[u8; 4] = b"GGUF";

/// Tensors begin at multiples of this, unless the file says otherwise.
const DEFAULT_ALIGNMENT: usize = 32;

/// Why bytes are not the GGUF file they should be.
#[derive(Debug, Error)]
pub enum GgufError {
    #[error("not a GGUF file: it begins with \"{found}\"; expected \"GGUF\"")]
    NotGguf { found: String },
    #[error(
        "the file is big-endian; only little-endian GGUF is read, which is what all but a few \
         mainframes write"
    )]
    BigEndian,
    #[error(
        "GGUF version {found} is not read; supported: 2 and 3. Convert the model again with a newer \
         program"
    )]
    Version { found: u32 },
    #[error("the file ends too early: {needed} bytes are to follow, {left} are left")]
    Truncated { needed: usize, left: usize },
    #[error("the file announces {count} {what}, for which its remaining {left} bytes are too few")]
    Count { count: u64, what: &'static str, left: usize },
    #[error("{key:?}: {source}")]
    At { key: String, source: Box<Self> },
    #[error("the name \"{found}\" is not UTF-8")]
    Name { found: String },
    #[error("key {key:?} is there twice")]
    DuplicateKey { key: String },
    #[error("a value has the unknown type {found}; expected 0 to 12")]
    ValueType { found: u32 },
    #[error("a yes-or-no value is {found}; expected 0 or 1")]
    Bool { found: u8 },
    #[error("arrays lie more than {max} deep in each other")]
    Nesting { max: usize },
    #[error("general.alignment is {found}; expected a power of two, as a u32")]
    Alignment { found: String },
    #[error("tensor {name:?} is there twice")]
    DuplicateTensor { name: String },
    #[error("tensor {name:?} has {found} dimensions; at most 4 are possible")]
    Dims { name: String, found: u32 },
    #[error("tensor {name:?} has the type number {found}, which no type known here has")]
    TensorType { name: String, found: u32 },
    #[error("tensor {name:?} cannot have dimensions {dims:?} as {kind}")]
    Size { name: String, dims: Vec<usize>, kind: String },
    #[error("tensor {name:?} begins at byte {offset}; expected a multiple of {alignment}")]
    Misaligned { name: String, offset: usize, alignment: usize },
    #[error(
        "tensor {name:?} is to have {n_bytes} bytes from {offset} on, but there are only {there}: \
         the file is damaged or was not downloaded to its end"
    )]
    Outside { name: String, offset: usize, n_bytes: usize, there: usize },
    #[error("tensors {first:?} and {second:?} share bytes of the file")]
    Overlap { first: String, second: String },
    #[error(
        "there is no exact encoder for {name:?}; supported: f32, f16, bf16, q8_0, q4_0. For the \
         others write f16 and run llama.cpp's llama-quantize on the file"
    )]
    NoEncoder { name: String },
    #[error("GGUF has no architecture for model_type {found:?} here; it has {supported}")]
    Architecture { found: String, supported: String },
    #[error(
        "{key} = {value} cannot be said in a GGUF file of the architecture {architecture}; expected \
         {expected}"
    )]
    Unsupported { key: String, value: String, expected: String, architecture: &'static str },
    #[error(
        "layer {layer} has {found}, but llama.cpp goes by its number, by which it has {expected}; a \
         GGUF file of the architecture {architecture} cannot say otherwise"
    )]
    Kind { layer: usize, found: String, expected: String, architecture: &'static str },
    #[error(
        "embedding and head are two matrices, but a GGUF file of the architecture {architecture} \
         has one for both; use the head policy teacher or student"
    )]
    TiedOnly { architecture: &'static str },
    #[error("parameter {path:?} has no place in a GGUF file of the architecture {architecture}")]
    Uncarried { path: String, architecture: &'static str },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(
        "tensor {name:?} of the {owner} is stored as {kind:?}, which no weight is; convert the model \
         again"
    )]
    NoWeight { owner: Owner, name: String, kind: GgufType },
    #[error("teacher and student do not fit together: {what} is {teacher} and {student}")]
    Difference { what: String, teacher: String, student: String },
    #[error("the {owner} lacks {what}")]
    Missing { owner: Owner, what: String },
    #[error("the {owner} has {found} layers; the plan is for one of {expected}")]
    Layers { owner: Owner, found: usize, expected: usize },
    #[error(
        "one matrix for embedding and head needs a teacher and a student that tie them; use the \
         head policy untied"
    )]
    NotTied,
    #[error(
        "the {owner} is part {part} of a model in {count} files; join them first with llama.cpp's \
         llama-gguf-split --merge"
    )]
    Split { owner: Owner, part: usize, count: usize },
    #[error("the tokenizer cannot be said in a GGUF file: {reason}")]
    Tokenizer { reason: String },
}

impl GgufError {
    /// The same, with the key or tensor where it happened.
    fn at(self, key: &str) -> Self {
        Self::At { key: key.to_owned(), source: Box::new(self) }
    }
}
