//! Which teacher a student was made from, so that another one of the same shape is refused.
//!
//! Weights are identified by samples of every tensor: this takes milliseconds for a model of many
//! gigabytes, but does not detect a change of a few numbers.

use anyhow::Context as _;
use boomerang_core::bundle::hex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{ModelFolder, OutputFolder, read_if_present};
use crate::exit::{Exit, OrExit as _};
use crate::progress::note;
use boomerang_core::checkpoint::files::FINGERPRINTS;

/// Bytes of one sample of a tensor.
const SAMPLE: usize = 4096;

/// What identifies a model and its tokenizer: SHA-256 in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFingerprint {
    /// Of names, dtypes, shapes and samples of all tensors.
    pub weights: String,
    /// Of vocabulary, merges and normalization; `None` without a tokenizer.json.
    pub tokenizer: Option<String>,
}

/// `fingerprints.json`, beside `student_config.json`.
#[derive(Debug, Serialize, Deserialize)]
struct FingerprintsFile {
    format: String,
    version: u32,
    teacher: ModelFingerprint,
}

const FORMAT: &str = "boomerang-fingerprints";
const VERSION: u32 = 1;

impl ModelFolder {
    /// # Errors
    /// When the weights cannot be parsed, or tokenizer.json is not JSON.
    pub fn fingerprint(&self) -> anyhow::Result<ModelFingerprint> {
        let mut hasher = Sha256::new();
        for (name, view) in self.checkpoint()?.tensors() {
            hasher.update(format!("{name} {:?} {:?}\n", view.dtype(), view.shape()));
            let bytes = view.data();
            if bytes.len() <= 3 * SAMPLE {
                hasher.update(bytes);
                continue;
            }
            let last = bytes.len() - SAMPLE;
            for start in [0, last / 2, last] {
                hasher.update(&bytes[start..start + SAMPLE]);
            }
        }
        let tokenizer = self.tokenizer_fingerprint()?;
        Ok(ModelFingerprint { weights: hex(&hasher.finalize()), tokenizer })
    }

    fn tokenizer_fingerprint(&self) -> anyhow::Result<Option<String>> {
        let fingerprint = self.tokenizer_json()?.map(|json| {
            tokenizer_fingerprint(&json)
                .with_context(|| format!("the tokenizer.json of {}", self.path().display()))
                .or_exit(Exit::Unusable)
        });
        fingerprint.transpose()
    }

    /// Refuses a student that was made from another teacher, or that has another tokenizer; with
    /// `allow_mismatch` it only warns. Students without fingerprints pass.
    ///
    /// # Errors
    /// Names both folders and both fingerprints.
    pub fn check_teacher(&self, teacher: &Self, allow_mismatch: bool) -> anyhow::Result<()> {
        let found = teacher.fingerprint()?;
        let path = self.path().join(FINGERPRINTS);
        if let Some(json) = read_if_present(&path)? {
            let file = read_file(&json).with_context(|| path.display().to_string())?;
            if file.teacher.weights != found.weights {
                let sentence = format!(
                    "{} was made from another teacher than {}: expected weights with fingerprint {}, \
                     found {}",
                    self.path().display(),
                    teacher.path().display(),
                    file.teacher.weights,
                    found.weights
                );
                mismatch(sentence, allow_mismatch)?;
            }
        }
        let own = self.tokenizer_fingerprint()?;
        if let (Some(own), Some(teachers)) = (own, found.tokenizer)
            && own != teachers
        {
            let sentence = format!(
                "{} and {} have different tokenizers: fingerprints {own} and {teachers}",
                self.path().display(),
                teacher.path().display(),
            );
            mismatch(sentence, allow_mismatch)?;
        }
        Ok(())
    }
}

/// Writes the fingerprint of the teacher beside a student's weights.
///
/// # Errors
/// When the file cannot be written.
pub fn write_fingerprints(out: &OutputFolder, teacher: &ModelFingerprint) -> anyhow::Result<()> {
    let file =
        FingerprintsFile { format: FORMAT.to_owned(), version: VERSION, teacher: teacher.clone() };
    let json = format!("{}\n", serde_json::to_string_pretty(&file)?);
    Ok(out.write(FINGERPRINTS, json.as_bytes())?)
}

fn read_file(json: &[u8]) -> anyhow::Result<FingerprintsFile> {
    let file: FingerprintsFile = serde_json::from_slice(json).or_exit(Exit::Unusable)?;
    if file.format != FORMAT || file.version != VERSION {
        return Err(Exit::Unusable.error(format!(
            "format {:?}, version {}; expected {FORMAT:?}, version {VERSION}",
            file.format, file.version
        )));
    }
    Ok(file)
}

fn mismatch(sentence: String, is_allowed: bool) -> anyhow::Result<()> {
    if is_allowed {
        note(&format!("warning: {sentence}"));
        return Ok(());
    }
    Err(Exit::Unusable.error(format!(
        "{sentence}; use a matching teacher and student, or add --allow-mismatch to continue"
    )))
}

/// Of everything that decides the ids of a text; layout and settings of programs (padding,
/// truncation) do not count.
fn tokenizer_fingerprint(json: &[u8]) -> anyhow::Result<String> {
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

/// The same for equivalent values: keys in order, without those that are off, and merges in one of
/// the two notations.
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

#[cfg(test)]
mod tests {
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
}
