//! One student's training: its lines, its steps, and what it is at the end of them.

use boomerang_core::bundle::{BundleError, Manifest, StudentContents, student_files};
use boomerang_core::checkpoint::Precision;
use boomerang_core::corpus::{Corpus, course};
use boomerang_core::distill::{Batch, Distiller, StepReport};
use boomerang_core::evaluate::ReadBackError;
use boomerang_core::prune::{Family, FamilyError, Teacher};
use boomerang_core::similarity::block_similarity;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::messages::CourseSettings;

/// A student in training. The lines it reads are written as they are needed.
pub struct Course {
    distiller: Distiller,
    teacher: Teacher,
    lessons: Box<dyn Iterator<Item = Batch>>,
    n_steps: usize,
    /// Lines on which the taught student is compared with its teacher.
    unseen: Batch,
}

/// Why a student cannot be taught.
#[derive(Debug, Error)]
pub enum CourseError {
    #[error(
        "texts to learn from are written for the family that comes with the page, and no other"
    )]
    Text,
    #[error("every term of the loss has weight 0; there is nothing to learn from")]
    NoTerm,
    #[error("a weight or the learning rate is no number from 0 on")]
    Number,
    #[error("the loss is no number any more at step {step}")]
    Diverged { step: usize },
    #[error(transparent)]
    Family(#[from] FamilyError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    ReadBack(#[from] ReadBackError),
    #[error("the notes on the family that comes with the page cannot be read: {0}")]
    Made(#[from] serde_json::Error),
}

/// How the embedded teacher was made, as far as it decides what its student reads.
#[derive(Deserialize)]
struct Made {
    corpus_seed: u64,
    seq_len: usize,
}

const MADE: &str = include_str!("../../../../assets/teacher/made.json");

/// Far from the seeds of courses.
const UNSEEN_SEED: u64 = 1_000_000;

/// Of a taught student's files, below the manifest.
const FOLDER: &str = "taught";
const SUFFIX: &str = ", taught here";

impl Course {
    /// Cuts the student out of its teacher; `manifest` says whether lines can be written for it.
    ///
    /// # Errors
    /// [`CourseError`] for a family of another vocabulary, a plan of another teacher, or settings
    /// from which nothing is learnt.
    pub fn new(
        teacher: Teacher,
        manifest: &Manifest,
        settings: &CourseSettings,
    ) -> Result<Self, CourseError> {
        let CourseSettings { plan, n_steps, learning_rate, loss, seed } = settings;
        let numbers = [loss.cross_entropy, loss.kl, loss.alignment];
        if numbers.iter().chain([learning_rate]).any(|number| !(0.0..1e6).contains(number)) {
            return Err(CourseError::Number);
        }
        if numbers.iter().all(|&weight| weight == 0.0) {
            return Err(CourseError::NoTerm);
        }
        let Made { corpus_seed, seq_len } = serde_json::from_str(MADE)?;
        let corpus = Corpus::new(corpus_seed);
        if !is_of(&corpus, manifest) {
            return Err(CourseError::Text);
        }
        let unseen = corpus.lessons(UNSEEN_SEED, seq_len).next().ok_or(CourseError::Text)?;
        let student = teacher.prune(plan)?;
        let settings = course::settings(*loss, *learning_rate, *n_steps);
        Ok(Self {
            distiller: Distiller::new(teacher.clone(), student, settings, 0),
            teacher,
            lessons: Box::new(corpus.into_lessons(*seed, seq_len)),
            n_steps: *n_steps,
            unseen,
        })
    }

    pub fn is_whole(&self) -> bool {
        self.distiller.n_steps() >= self.n_steps
    }

    pub fn n_steps_done(&self) -> usize {
        self.distiller.n_steps()
    }

    /// # Errors
    /// [`CourseError::Diverged`], after which the student is worth nothing.
    pub async fn step(&mut self) -> Result<StepReport, CourseError> {
        let batches: Vec<Batch> = self.lessons.by_ref().take(1).collect();
        let report = self.distiller.step(&batches).await;
        let step = self.distiller.n_steps();
        if report.is_finite() { Ok(report) } else { Err(CourseError::Diverged { step }) }
    }

    /// The student as it is now, as the files of a family; the last one is its manifest.
    ///
    /// # Errors
    /// [`CourseError`] when the weights cannot be read back.
    pub async fn files(&self, bundle: &Manifest) -> Result<Vec<(String, Vec<u8>)>, CourseError> {
        let student = self.distiller.student();
        let family = Family::new(self.teacher.clone(), student.clone())?;
        let similarity = block_similarity(&family, std::slice::from_ref(&self.unseen)).await?;
        let name = bundle.name.strip_suffix(SUFFIX).unwrap_or(&bundle.name);
        let contents = StudentContents {
            name: &format!("{name}{SUFFIX}"),
            folder: FOLDER,
            // As the demo writes its bundle.
            precision: Precision::F16,
            similarity,
        };
        Ok(student_files(bundle, &student, contents)?)
    }
}

/// Whether the family reads the words of this corpus.
fn is_of(corpus: &Corpus, manifest: &Manifest) -> bool {
    let hash = Sha256::digest(corpus.tokenizer_json());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    hash == manifest.tokenizer.sha256
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use boomerang_core::bundle::BundleLoader;
    use boomerang_core::distill::loss::LossWeights;
    use boomerang_core::plan::{LayerPlan, Patch};
    use burn::tensor::Device;
    use futures_lite::future::block_on;

    use super::*;

    fn bundle() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/demo/bundle")
    }

    fn manifest() -> Manifest {
        Manifest::from_json(&fs::read_to_string(bundle().join("manifest.json")).unwrap()).unwrap()
    }

    fn teacher(manifest: &Manifest) -> Teacher {
        let mut loader = BundleLoader::new(manifest.clone(), Device::flex()).unwrap();
        let whole = Patch::all(&manifest.plan);
        for file in manifest.files_of(&whole) {
            loader.add(file, &fs::read(bundle().join(&file.path)).unwrap()).unwrap();
        }
        Teacher::new(loader.member(&whole).unwrap())
    }

    fn settings(kept: &[usize], loss: LossWeights) -> CourseSettings {
        let plan = LayerPlan::keep(kept, 12).unwrap();
        CourseSettings { plan, n_steps: 3, learning_rate: course::LEARNING_RATE, loss, seed: 0 }
    }

    fn course(settings: &CourseSettings) -> Result<Course, CourseError> {
        let manifest = manifest();
        Course::new(teacher(&manifest), &manifest, settings)
    }

    #[test]
    fn a_student_of_few_layers_learns_and_becomes_a_family() {
        let mut course = course(&settings(&[0, 6], course::loss_weights())).unwrap();
        let mut totals = Vec::new();
        while !course.is_whole() {
            totals.push(block_on(course.step()).unwrap().terms.total);
        }
        // The first step's learning rate is 0.
        assert!(totals[2] < totals[0], "{totals:?}");

        let files = block_on(course.files(&manifest())).unwrap();
        let (_, text) = files.last().unwrap();
        let taught = Manifest::from_json(std::str::from_utf8(text).unwrap()).unwrap();
        assert_eq!(taught.name, "Boomerang demo, taught here");
        assert_eq!((taught.plan.kept(), taught.similarity.len()), (vec![0, 6], 2));
        assert!(taught.similarity.iter().all(|cosine| (-1.0..=1.0).contains(cosine)));
        for (path, bytes) in &files[..files.len() - 1] {
            let file = taught.files().find(|file| file.path == *path).unwrap();
            file.verify(bytes).unwrap();
        }
    }

    #[test]
    fn nothing_is_taught_without_a_term_or_without_words() {
        let none =
            LossWeights { cross_entropy: 0.0, kl: 0.0, alignment: 0.0, ..LossWeights::default() };
        assert!(matches!(course(&settings(&[0], none)).err(), Some(CourseError::NoTerm)));
        let weird = LossWeights { kl: f64::NAN, ..LossWeights::default() };
        assert!(matches!(course(&settings(&[0], weird)).err(), Some(CourseError::Number)));
        let mut other = manifest();
        let teacher = teacher(&other);
        other.tokenizer.sha256 = "0".repeat(64);
        let settings = settings(&[0], LossWeights::default());
        assert!(matches!(Course::new(teacher, &other, &settings).err(), Some(CourseError::Text)));
    }
}
