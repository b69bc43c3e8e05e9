//! Which teacher a student was made from, so that another one of the same shape is not mistaken for it.
//!
//! Weights are identified by samples of every tensor: a model of many gigabytes is distinguished from
//! any other one in milliseconds, though not from one that differs in a few values only.

use std::ops::Range;

use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::Checkpoint;

/// Bytes of one sample of a tensor.
const SAMPLE: u64 = 4096;

/// What identifies a model and its tokenizer: SHA-256 in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFingerprint {
    /// Of names, dtypes, shapes and samples of all tensors.
    pub weights: String,
    /// Of vocabulary, merges and normalization; `None` without a tokenizer.json.
    pub tokenizer: Option<String>,
}

/// `fingerprints.json`, beside `student_config.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FingerprintsFile {
    format: String,
    version: u32,
    /// The teacher that the student was made from.
    pub teacher: ModelFingerprint,
}

const FORMAT: &str = "boomerang-fingerprints";
const VERSION: u32 = 1;

/// Why a `fingerprints.json` cannot be used.
#[derive(Debug, Error)]
pub enum IdentityError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("format {format:?}, version {version}; expected {FORMAT:?}, version {VERSION}")]
    Format { format: String, version: u32 },
}

impl FingerprintsFile {
    pub fn new(teacher: ModelFingerprint) -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, teacher }
    }

    /// # Errors
    /// [`IdentityError`] for another format or version.
    pub fn parse(json: &[u8]) -> Result<Self, IdentityError> {
        let file: Self = serde_json::from_slice(json)?;
        if file.format == FORMAT && file.version == VERSION {
            return Ok(file);
        }
        let Self { format, version, .. } = file;
        Err(IdentityError::Format { format, version })
    }
}

/// The fingerprint of weights, tensor by tensor in the order of their names.
#[derive(Clone, Debug, Default)]
pub struct WeightsHasher(Sha256);

impl WeightsHasher {
    /// Starts a tensor; the bytes of its [`sample_ranges`] follow, in their order.
    pub fn tensor(&mut self, name: &str, dtype: Dtype, shape: &[usize]) {
        self.0.update(format!("{name} {dtype:?} {shape:?}\n"));
    }

    pub fn sample(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The bytes of a tensor of `n_bytes` that identify it: all of a small one, else three samples.
pub fn sample_ranges(n_bytes: u64) -> Vec<Range<u64>> {
    if n_bytes <= 3 * SAMPLE {
        return std::iter::once(0..n_bytes).collect();
    }
    let last = n_bytes - SAMPLE;
    [0, last / 2, last].map(|start| start..start + SAMPLE).into()
}

impl Checkpoint<'_> {
    /// Identifies the weights, as in [`ModelFingerprint::weights`].
    pub fn weights_fingerprint(&self) -> String {
        let mut hasher = WeightsHasher::default();
        for (name, view) in self.tensors() {
            hasher.tensor(name, view.dtype(), view.shape());
            let bytes = view.data();
            for Range { start, end } in sample_ranges(bytes.len() as u64) {
                hasher.sample(&bytes[start as usize..end as usize]);
            }
        }
        hasher.finish()
    }
}

/// Of all that determines the ids of a text. The layout of the file, and settings that programs leave in
/// it for themselves (padding, truncation), do not count.
///
/// # Errors
/// When the file is not JSON.
pub fn tokenizer_fingerprint(json: &[u8]) -> Result<String, serde_json::Error> {
    let file: Value = serde_json::from_slice(json)?;
    let mut parts = Map::new();
    for key in ["model", "normalizer", "pre_tokenizer"] {
        parts.insert(key.to_owned(), canonical(file.get(key).unwrap_or(&Value::Null)));
    }
    let added = file.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
    let added = added.map(|token| Value::from(vec![token["id"].clone(), token["content"].clone()]));
    parts.insert("added_tokens".to_owned(), added.collect());
    Ok(hex(&Sha256::digest(Value::Object(parts).to_string())))
}

/// The same for equivalent values: keys in order, without those that are off, and merges in one of the
/// two forms in which they are written.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object
                .iter()
                .filter(|(_, value)| !value.is_null() && **value != Value::Bool(false))
                .collect();
            entries.sort_by_key(|(key, _)| *key);
            let value = |key: &str, value: &Value| match (key, value) {
                ("merges", Value::Array(merges)) => merges.iter().map(merge).collect(),
                _ => canonical(value),
            };
            entries.into_iter().map(|(key, inner)| (key.clone(), value(key, inner))).collect()
        }
        Value::Array(list) => list.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

fn merge(merge: &Value) -> Value {
    match merge.as_array().map(Vec::as_slice) {
        Some([Value::String(left), Value::String(right)]) => format!("{left} {right}").into(),
        _ => merge.clone(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn of(json: &str) -> String {
        tokenizer_fingerprint(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_tokenizer_is_the_same_however_it_is_written() {
        let plain =
            of(r#"{"model": {"vocab": {"a": 0, "b": 1}, "merges": ["a b"], "dropout": null}}"#);
        let other = of(r#"{"padding": {"x": 1}, "added_tokens": [],
            "model": {"merges": [["a", "b"]], "byte_fallback": false, "vocab": {"b": 1, "a": 0}}}"#);
        assert_eq!(plain, other);
    }

    #[test]
    fn another_vocabulary_merge_or_added_token_is_another_tokenizer() {
        let plain = of(r#"{"model": {"vocab": {"a": 0}, "merges": []}}"#);
        for other in [
            r#"{"model": {"vocab": {"a": 1}, "merges": []}}"#,
            r#"{"model": {"vocab": {"a": 0}, "merges": ["a a"]}}"#,
            r#"{"model": {"vocab": {"a": 0}, "merges": []}, "normalizer": {"type": "NFC"}}"#,
            r#"{"model": {"vocab": {"a": 0}, "merges": []}, "added_tokens": [{"id": 1, "content": "b"}]}"#,
        ] {
            assert_ne!(plain, of(other), "{other}");
        }
    }

    #[test]
    fn a_large_tensor_is_identified_by_three_samples() {
        assert_eq!((sample_ranges(0).len(), &sample_ranges(0)[0]), (1, &(0..0)));
        let whole = sample_ranges(3 * SAMPLE);
        assert_eq!((whole.len(), &whole[0]), (1, &(0..3 * SAMPLE)));
        let n = 10 * SAMPLE + 1;
        let middle = (n - SAMPLE) / 2;
        assert_eq!(sample_ranges(n), [0..SAMPLE, middle..middle + SAMPLE, n - SAMPLE..n]);
    }

    fn fingerprint(name: &str, values: &[u8]) -> String {
        let view = TensorView::new(Dtype::U8, vec![values.len()], values).unwrap();
        let bytes = safetensors::serialize([(name, view)], None).unwrap();
        Checkpoint::parse([("x".to_owned(), &*bytes)]).unwrap().weights_fingerprint()
    }

    #[test]
    fn another_name_or_sampled_value_is_another_model() {
        let mut values = vec![7; 5 * SAMPLE as usize];
        let plain = fingerprint("a", &values);
        assert_eq!(plain, fingerprint("a", &values));
        assert_ne!(plain, fingerprint("b", &values));
        *values.last_mut().unwrap() = 8;
        assert_ne!(plain, fingerprint("a", &values));
    }

    #[test]
    fn a_file_of_another_version_is_refused() {
        let teacher = ModelFingerprint { weights: "ab".to_owned(), tokenizer: None };
        let file = FingerprintsFile::new(teacher);
        let json = serde_json::to_string(&file).unwrap();
        assert_eq!(FingerprintsFile::parse(json.as_bytes()).unwrap(), file);
        let newer = json.replace("\"version\":1", "\"version\":2");
        let error = FingerprintsFile::parse(newer.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("version 2; expected"), "{error}");
    }
}
