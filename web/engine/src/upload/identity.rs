//! Whether an uploaded teacher is the one that the student was made from, as on the command line: by
//! their tokenizers, and by the teacher's weights if the student's folder has a `fingerprints.json`.

use std::collections::{BTreeMap, BTreeSet};

use boomerang_core::checkpoint::{
    FingerprintsFile, Header, StoredTensor, WeightsHasher, sample_ranges, tokenizer_fingerprint,
};
use web_sys::Blob;

use super::source::{Source, part};
use super::tree::{ModelFolder, folder_name};
use super::{MOST_CONFIG, text};
use crate::fetch::read_blob;

/// Of a `tokenizer.json`; the largest vocabularies take a few dozen megabytes.
const MOST_TOKENIZER: u64 = 1 << 27;

/// The weights that the student was made from, and the tensors of the uploaded teacher.
pub(crate) struct TeacherIdentity {
    /// Fingerprint of the weights that the student was made from.
    expected: String,
    /// Names of the two folders.
    teacher: String,
    student: String,
    /// By name, each with the file that it is in.
    tensors: BTreeMap<String, (usize, StoredTensor)>,
}

/// # Errors
/// Names both folders and both fingerprints, if both have a tokenizer and they differ.
pub(super) async fn check_tokenizers(
    sources: &[Source],
    teacher: &ModelFolder,
    student: &ModelFolder,
) -> Result<(), String> {
    let (Some(teachers), Some(students)) = (teacher.tokenizer, student.tokenizer) else {
        return Ok(());
    };
    let teachers = tokenizer_of(&sources[teachers]).await?;
    let students = tokenizer_of(&sources[students]).await?;
    if teachers == students {
        return Ok(());
    }
    Err(format!(
        "{} and {} have different tokenizers: their fingerprints are {students} and {teachers}",
        folder_name(&student.path),
        folder_name(&teacher.path)
    ))
}

async fn tokenizer_of(source: &Source) -> Result<String, String> {
    let json = text(source, MOST_TOKENIZER).await?;
    tokenizer_fingerprint(json.as_bytes()).map_err(|error| format!("{}: {error}", source.name))
}

impl TeacherIdentity {
    /// `None` if the student's folder has no `fingerprints.json`; `weights` are the teacher's.
    ///
    /// # Errors
    /// Why that file cannot be used.
    pub(super) async fn read(
        sources: &[Source],
        (teacher, student): (&ModelFolder, &ModelFolder),
        weights: &[(usize, Header)],
    ) -> Result<Option<Self>, String> {
        let Some(number) = student.fingerprints else { return Ok(None) };
        let json = text(&sources[number], MOST_CONFIG).await?;
        let file = FingerprintsFile::parse(json.as_bytes())
            .map_err(|error| format!("{}: {error}", sources[number].name))?;
        let tensors = weights.iter().flat_map(|(file, header)| {
            let tensors = header.tensors().iter();
            tensors.map(|(name, tensor)| (name.clone(), (*file, tensor.clone())))
        });
        Ok(Some(Self {
            expected: file.teacher.weights,
            teacher: folder_name(&teacher.path),
            student: folder_name(&student.path),
            tensors: tensors.collect(),
        }))
    }

    /// The files that [`TeacherIdentity::check`] reads.
    pub(super) fn files(&self) -> BTreeSet<usize> {
        self.tensors.values().map(|(file, _)| *file).collect()
    }

    /// `whole` are the extracted files.
    ///
    /// # Errors
    /// Names both folders and both fingerprints, if the weights are others.
    pub(super) async fn check(&self, whole: &BTreeMap<usize, Blob>) -> Result<(), String> {
        let mut hasher = WeightsHasher::default();
        for (name, (file, tensor)) in &self.tensors {
            hasher.tensor(name, tensor.dtype, &tensor.shape);
            for range in sample_ranges(tensor.end - tensor.start) {
                let (start, end) = (tensor.start + range.start, tensor.start + range.end);
                let sample = part(&whole[file], start, end);
                let bytes = read_blob(name, &sample, end - start).await;
                hasher.sample(&bytes.map_err(|error| error.to_string())?);
            }
        }
        let found = hasher.finish();
        if found == self.expected {
            return Ok(());
        }
        let Self { expected, teacher, student, .. } = self;
        Err(format!(
            "{student} was made from another teacher than {teacher}: it was made from weights with \
             fingerprint {expected}, these have {found}"
        ))
    }
}
