//! Checks that a student was made from this teacher, by the fingerprints of `core`.

use anyhow::Context as _;
pub use boomerang_core::checkpoint::ModelFingerprint;
use boomerang_core::checkpoint::{FingerprintsFile, tokenizer_fingerprint};

use super::{ModelFolder, OutputFolder, read_if_present};
use crate::exit::{Exit, OrExit as _};
use crate::progress::note;
use boomerang_core::checkpoint::files::FINGERPRINTS;

impl ModelFolder {
    /// # Errors
    /// When the weights cannot be parsed, or tokenizer.json is not JSON.
    pub fn fingerprint(&self) -> anyhow::Result<ModelFingerprint> {
        let weights = self.checkpoint()?.weights_fingerprint();
        let tokenizer = self.tokenizer_fingerprint()?;
        Ok(ModelFingerprint { weights, tokenizer })
    }

    /// # Errors
    /// When tokenizer.json is not JSON.
    pub fn tokenizer_fingerprint(&self) -> anyhow::Result<Option<String>> {
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
        let path = self.path().join(FINGERPRINTS);
        if let Some(json) = read_if_present(&path)? {
            let file = FingerprintsFile::parse(&json)
                .or_exit(Exit::Unusable)
                .with_context(|| path.display().to_string())?;
            let found = teacher.checkpoint()?.weights_fingerprint();
            if file.teacher.weights != found {
                let sentence = format!(
                    "{} was made from another teacher than {}: expected weights with fingerprint {}, \
                     found {}",
                    self.path().display(),
                    teacher.path().display(),
                    file.teacher.weights,
                    found
                );
                mismatch(sentence, allow_mismatch)?;
            }
        }
        let tokenizers = (self.tokenizer_fingerprint()?, teacher.tokenizer_fingerprint()?);
        if let (Some(own), Some(teachers)) = tokenizers
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
    let file = FingerprintsFile::new(teacher.clone());
    let json = format!("{}\n", serde_json::to_string_pretty(&file)?);
    Ok(out.write(FINGERPRINTS, json.as_bytes())?)
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
