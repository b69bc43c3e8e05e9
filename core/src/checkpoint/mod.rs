//! Named tensors in safetensors bytes, in one or several files.
//!
//! Bytes in, values out: callers open files. Memory is never reserved based on a header alone;
//! every size is checked against the available bytes.

mod changes;
mod delta;
mod dtype;
mod eight_bits;
pub mod files;
mod fingerprint;
mod finite;
mod foreign;
mod header;
mod identity;
mod member;
mod names;
mod output;
mod packed;
#[cfg(all(feature = "flex", feature = "distill"))]
mod packed_tests;
mod precision;
mod read;
mod stored;
mod used;
mod write;

use std::collections::BTreeMap;
use std::io;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde_json::Value;
use thiserror::Error;

pub use delta::{Delta, DeltaError, DeltaParents, DeltaSizes};
pub(crate) use dtype::to_f32;
pub(crate) use eight_bits::{GROUP, quantize};
pub(crate) use fingerprint::embedding_fingerprint;
pub use fingerprint::{Fingerprint, Fingerprints};
pub(crate) use finite::{Range, Refusal};
pub use finite::{ensure_finite, n_not_finite};
pub(crate) use header::header_of;
pub use header::{Header, StoredTensor};
pub use identity::{
    FingerprintsFile, IdentityError, ModelFingerprint, WeightsHasher, sample_ranges,
    tokenizer_fingerprint,
};
pub use member::{MemberError, Parent};
pub use names::{Names, Share, Storage, TensorLocation};
#[cfg(feature = "distill")]
pub(crate) use output::{OutputTensor, write_tensors};
pub(crate) use packed::{copy, keeps_8_bits, pack};
pub use precision::{Precision, StoredAs};
pub(crate) use read::transpose;
pub(crate) use write::{ReadValues, write_parameters};
pub use write::{layer_to_bytes, model_to_bytes, tensors_to_bytes, write_model};

use crate::model::TransferError;

/// The tensors of a model, borrowed from the bytes of its files.
#[derive(Debug)]
pub struct Checkpoint<'bytes> {
    files: Vec<String>,
    tensors: BTreeMap<String, TensorView<'bytes>>,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, Error)]
pub enum CheckpointError {
    #[error("{file} is not a safetensors file")]
    Format { file: String, source: SafeTensorError },
    #[error("tensor {name:?} is missing; the file holds {n_tensors} others{}", closest(.similar))]
    MissingTensor { name: String, n_tensors: usize, similar: Option<String> },
    #[error("tensor {name:?} has shape {found:?}; the model config requires {expected:?}")]
    Shape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error("tensor {name:?} has dtype {found:?}; supported: F32, F16, BF16, F8_E4M3, F8_E5M2")]
    Dtype { name: String, found: Dtype },
    #[error(
        "tensor {name:?} is stored in 8 bits, but \"{name}.scales\" is missing; download the file \
         again or re-export it"
    )]
    NoScales { name: String },
    #[error(
        "tensor {name:?} is {dtype:?} of shape {found:?}; expected F16 of shape {expected:?}, a \
         scale for every 32 values of a row; re-export the file"
    )]
    Scales { name: String, dtype: Dtype, expected: Vec<usize>, found: Vec<usize> },
    #[error(
        "element {number} of tensor {name:?} is {found}; expected a finite scale of at least 0; \
         download the file again or re-export it"
    )]
    Scale { name: String, number: usize, found: f32 },
    #[error(
        "tensor {name:?} holds {} NaN or infinite (of {n_values}), and results computed from it \
         would be as well; download the file again, or use an earlier checkpoint",
        counted(.n_not_finite, "value that is", "values that are")
    )]
    NotFinite { name: String, n_not_finite: usize, n_values: usize },
    #[error(
        "tensor {name:?} holds {} too large for {format} (of {n_values}): up to {largest:e}; the \
         largest {format} value is {end:e}; use bf16 or f32 instead",
        counted(.n_too_large, "value", "values")
    )]
    TooLarge {
        name: String,
        n_too_large: usize,
        n_values: usize,
        format: &'static str,
        largest: f32,
        end: f32,
    },
    #[error("parameter {path:?} has no name in this architecture's checkpoints")]
    Unnamed { path: String },
    #[error(
        "the config ties the head to the embedding, but {head:?} differs from it; transformers 4 \
         and 5 read such a file differently: set tie_word_embeddings to false or remove the tensor"
    )]
    TiedButDifferent { head: String },
    #[error(
        "{n_unused} tensors are not used by the model that config.json describes: {names}; correct \
         config.json (a key that turns them on may be missing), or remove them from the weights"
    )]
    Unused { n_unused: usize, names: String },
    #[error(
        "{key} in config.json is {expected}, but the weights have {found} layers; correct \
         config.json, or remove the extra layers"
    )]
    MoreLayers { key: &'static str, expected: usize, found: usize },
    #[error(
        "the tensors {first:?} and {second:?} are the same parameter with different values; remove \
         the one that is wrong"
    )]
    Twice { first: String, second: String },
    #[error(
        "quantized with {method} (found: {marker}); Boomerang reads weights in f32, f16, bf16 and \
         unscaled 8-bit floats: use the model that it was quantized from, or save it dequantized"
    )]
    Quantized { method: String, marker: String },
    #[error(
        "{name:?} is part of an adapter, not of a complete model; merge it into its base model (in \
         peft: merge_and_unload) and use the result"
    )]
    Adapter { name: String },
    #[error(
        "{name:?} is the head of a classifier or reward model, which does not predict tokens; use \
         the language model that it is based on"
    )]
    OtherHead { name: String },
    #[error("writing safetensors failed")]
    Write(#[source] SafeTensorError),
    #[error("writing the weights failed")]
    Output(#[source] io::Error),
    #[error(transparent)]
    Transfer(#[from] TransferError),
    #[error("invalid model.safetensors.index.json: {0}")]
    Index(String),
}

/// `1 value`, `2 values`
fn counted(n: &usize, one: &str, several: &str) -> String {
    format!("{n} {}", if *n == 1 { one } else { several })
}

fn closest(similar: &Option<String>) -> String {
    similar.as_ref().map(|name| format!(" (closest: {name:?})")).unwrap_or_default()
}

impl<'bytes> Checkpoint<'bytes> {
    /// Parses one or more safetensors files that together hold a model; the names are used in
    /// errors.
    ///
    /// # Errors
    /// [`CheckpointError::Format`] names the file.
    pub fn parse(
        files: impl IntoIterator<Item = (String, &'bytes [u8])>,
    ) -> Result<Self, CheckpointError> {
        let mut checkpoint = Self { files: Vec::new(), tensors: BTreeMap::new() };
        for (file, bytes) in files {
            let parsed = SafeTensors::deserialize(bytes)
                .map_err(|source| CheckpointError::Format { file: file.clone(), source })?;
            checkpoint.files.push(file);
            checkpoint.tensors.extend(parsed.tensors());
        }
        Ok(checkpoint)
    }

    /// The tensor's dtype, shape and bytes.
    ///
    /// # Errors
    /// [`CheckpointError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<&TensorView<'bytes>, CheckpointError> {
        self.tensors.get(name).ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> CheckpointError {
        let (name, n_tensors) = (name.to_owned(), self.tensors.len());
        CheckpointError::MissingTensor { similar: self.similar(&name), name, n_tensors }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Names of all tensors, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// All tensors, by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorView<'bytes>> {
        &self.tensors
    }

    /// Total size of all tensors as stored.
    pub fn n_bytes(&self) -> usize {
        self.tensors.values().map(|view| view.data().len()).sum()
    }

    /// The dtype of most bytes, in which other files of the family are written.
    pub fn main_dtype(&self) -> Option<Dtype> {
        let mut n_bytes = BTreeMap::<String, (usize, Dtype)>::new();
        for view in self.tensors.values() {
            let entry = n_bytes.entry(format!("{:?}", view.dtype()));
            entry.or_insert((0, view.dtype())).0 += view.data().len();
        }
        n_bytes.into_values().max_by_key(|entry| entry.0).map(|entry| entry.1)
    }

    /// The narrowest format that holds every tensor's values exactly; `None` without tensors.
    pub fn widest_precision(&self) -> Option<Precision> {
        let mut precisions = self.tensors.values().map(|view| Precision::of(view.dtype()));
        let first = precisions.next()?;
        // Neither of the 16-bit formats holds the other's values.
        Some(if precisions.all(|other| other == first) { first } else { Precision::F32 })
    }

    pub fn file_names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// The tensor with the longest common name suffix, for the error about a missing one.
    fn similar(&self, name: &str) -> Option<String> {
        let shared = |other: &str| {
            other.bytes().rev().zip(name.bytes().rev()).take_while(|(a, b)| a == b).count()
        };
        let best = self.names().max_by_key(|other| shared(other))?;
        (shared(best) * 2 > name.len()).then(|| best.to_owned())
    }
}

/// The distinct file names in a `model.safetensors.index.json`.
///
/// # Errors
/// [`CheckpointError::Index`] for anything but plain names in the same folder: an index must not
/// refer to files outside the model's directory.
pub fn shard_names(index_json: &str) -> Result<Vec<String>, CheckpointError> {
    let index: Value = serde_json::from_str(index_json)
        .map_err(|error| CheckpointError::Index(error.to_string()))?;
    let map = index
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(|| CheckpointError::Index("expected an object \"weight_map\"".to_owned()))?;
    let mut names = Vec::new();
    for (tensor, file) in map {
        let Some(file) = file.as_str() else {
            return Err(CheckpointError::Index(format!("{tensor:?} has no file name")));
        };
        if file.is_empty() || file.starts_with('.') || file.contains(['/', '\\', ':', '\0']) {
            return Err(CheckpointError::Index(format!(
                "{file:?} is not a plain file name; expected e.g. model-00001-of-00002.safetensors"
            )));
        }
        names.push(file.to_owned());
    }
    names.sort();
    names.dedup();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_cannot_refer_outside_its_folder() {
        for file in ["../x", "/etc/passwd", "a/../../b", "..", "C:x", "a\\b"] {
            let index = serde_json::json!({"weight_map": {"t": file}}).to_string();
            assert!(shard_names(&index).is_err(), "{file} was accepted");
        }
    }

    #[test]
    fn each_shard_is_named_once() {
        let index =
            r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "1.safetensors"}}"#;
        assert_eq!(shard_names(index).unwrap(), ["1.safetensors", "2.safetensors"]);
    }
}
