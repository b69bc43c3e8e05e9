//! GGUF, the file format of llama.cpp: reading, writing, and assembling members.
//!
//! Bytes in, values out, as everywhere in `core`. [`Gguf`] parses a file; [`Conversion`] converts a
//! model tensor by tensor, each in pieces; [`GgufFamily`] assembles a member from the unchanged
//! tensors of two GGUF files.

mod convert;
mod dequantize;
mod encode;
mod finite;
mod import;
mod member;
mod metadata;
mod read;
mod rows;
mod scaling;
mod settings;
mod tensor;
mod tokenizer;
mod types;
mod value;
mod widen;
mod write;

use thiserror::Error;

use crate::checkpoint::CheckpointError;
use crate::plan::Owner;

pub use convert::Conversion;
pub use dequantize::dequantize;
pub use encode::Encoding;
pub use import::{config_of, import, import_as};
pub use member::{GgufFamily, GgufMember};
pub use metadata::{plan_of_metadata, plan_to_metadata};
pub use read::{Gguf, GgufTensor};
pub use tensor::Converted;
pub use tokenizer::{ImportedTokenizer, TokenizerFiles, describe_tokenizer, import_tokenizer};
pub use types::GgufType;
pub use value::{GgufArray, GgufValue, Metadata};
pub use widen::{check, embedding_fingerprint, widen};
pub use write::{Announced, header, padding};

/// Magic bytes of every file.
pub const MAGIC: &[u8; 4] = b"GGUF";

/// Alignment of tensors, unless `general.alignment` sets another one.
const DEFAULT_ALIGNMENT: usize = 32;

/// Why a GGUF file cannot be read, written or assembled.
#[derive(Debug, Error)]
pub enum GgufError {
    #[error("not a GGUF file: it starts with \"{found}\"; expected \"GGUF\"")]
    NotGguf { found: String },
    #[error(
        "the file is big-endian; only little-endian GGUF is read, which is what all but a few \
         mainframes write"
    )]
    BigEndian,
    #[error(
        "GGUF version {found} is not supported; expected 2 or 3. Convert the model again with a \
         newer version of llama.cpp"
    )]
    Version { found: u32 },
    #[error("the file is truncated: expected {needed} more bytes, found {left}")]
    Truncated { needed: usize, left: usize },
    #[error("the file declares {count} {what}, but has only {left} bytes left")]
    Count { count: u64, what: &'static str, left: usize },
    #[error("{key:?}: {source}")]
    At { key: String, source: Box<Self> },
    #[error("the name \"{found}\" is not UTF-8")]
    Name { found: String },
    #[error("key {key:?} occurs twice")]
    DuplicateKey { key: String },
    #[error("unknown value type {found}; expected 0 to 12")]
    ValueType { found: u32 },
    #[error("a bool is {found}; expected 0 or 1")]
    Bool { found: u8 },
    #[error("arrays are nested more than {max} deep")]
    Nesting { max: usize },
    #[error("general.alignment is {found}; expected a power of two, as a u32")]
    Alignment { found: String },
    #[error("tensor {name:?} occurs twice")]
    DuplicateTensor { name: String },
    #[error("tensor {name:?} has {found} dimensions; expected at most 4")]
    Dims { name: String, found: u32 },
    #[error(
        "tensor {name:?} is stored as {found}, which is not read; convert the model to f16 or q8_0"
    )]
    Undecoded { name: String, found: String },
    #[error("there is no tensor {name:?}")]
    MissingTensor { name: String },
    #[error("tensor {name:?} is not one that is known of {architecture}")]
    UnknownTensor { name: String, architecture: &'static str },
    #[error("tensor {name:?} has dimensions {found:?}; expected {expected:?} by the metadata")]
    Dimensions { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("value {index} of tensor {name:?} is NaN or infinite")]
    NotFiniteValue { name: String, index: usize },
    #[error("the key {key:?} is missing")]
    MissingKey { key: String },
    #[error("{key} is {found}; expected {expected}")]
    Key { key: String, found: String, expected: &'static str },
    #[error("the metadata do not describe a supported model: {reason}")]
    Config { reason: String },
    #[error("tensor {name:?} has the unknown ggml type {found}")]
    TensorType { name: String, found: u32 },
    #[error("tensor {name:?} cannot have dimensions {dims:?} as {kind}")]
    Size { name: String, dims: Vec<usize>, kind: String },
    #[error("tensor {name:?} starts at byte {offset}; expected a multiple of {alignment}")]
    Misaligned { name: String, offset: usize, alignment: usize },
    #[error(
        "tensor {name:?} needs {n_bytes} bytes at offset {offset}, but the tensor data has only \
         {there}: the file is corrupt or its download is incomplete"
    )]
    Outside { name: String, offset: usize, n_bytes: usize, there: usize },
    #[error("tensors {first:?} and {second:?} share bytes of the file")]
    Overlap { first: String, second: String },
    #[error(
        "there is no exact encoder for {name:?}; supported: f32, f16, bf16, q8_0, q4_0. For the \
         others write f16 and run llama.cpp's llama-quantize on the file"
    )]
    NoEncoder { name: String },
    #[error("GGUF is not supported for the architecture {found:?}; supported: {supported}")]
    Architecture { found: String, supported: String },
    #[error(
        "{key} = {value} cannot be expressed in a GGUF file of the architecture {architecture}; \
         expected {expected}"
    )]
    Unsupported { key: String, value: String, expected: String, architecture: &'static str },
    #[error(
        "layer {layer} has {found}, but llama.cpp derives {expected} from the layer index; a GGUF \
         file of the architecture {architecture} cannot express anything else"
    )]
    Kind { layer: usize, found: String, expected: String, architecture: &'static str },
    #[error(
        "embedding and head are untied, but a GGUF file of the architecture {architecture} \
         requires them tied; use the head policy teacher or student"
    )]
    TiedOnly { architecture: &'static str },
    #[error("parameter {path:?} has no tensor in a GGUF file of the architecture {architecture}")]
    Uncarried { path: String, architecture: &'static str },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(
        "tensor {name:?} of the {owner} is stored as {kind:?}, which is not a weight format; \
         convert the model again"
    )]
    NoWeight { owner: Owner, name: String, kind: GgufType },
    #[error("teacher and student are incompatible: {what} is {teacher} and {student}")]
    Difference { what: String, teacher: String, student: String },
    #[error("the {owner} lacks {what}")]
    Missing { owner: Owner, what: String },
    #[error("the {owner} has {found} layers; the plan is for {expected}")]
    Layers { owner: Owner, found: usize, expected: usize },
    #[error(
        "a single matrix for embedding and head requires a teacher and a student with tied \
         embeddings; use the head policy untied"
    )]
    NotTied,
    #[error(
        "the {owner} is part {part} of a model in {count} files; join them first with llama.cpp's \
         llama-gguf-split --merge"
    )]
    Split { owner: Owner, part: usize, count: usize },
    #[error(
        "the file is part {part} of a model in {count} files; join them first with llama.cpp's \
         llama-gguf-split --merge"
    )]
    Part { part: usize, count: usize },
    #[error("the tokenizer cannot be expressed in a GGUF file: {reason}")]
    Tokenizer { reason: String },
    #[error("the tokenizer in the metadata is not read: {reason}")]
    StoredTokenizer { reason: String },
}

impl GgufError {
    /// The same error, with the key or tensor where it occurred.
    fn at(self, key: &str) -> Self {
        Self::At { key: key.to_owned(), source: Box::new(self) }
    }
}
