//! One student's training: its lines, its steps, and what it is at the end of them.

use boomerang_core::bundle::{BundleError, Manifest, StudentContents, student_files};
use boomerang_core::checkpoint::Precision;
use boomerang_core::config::ConfigError;
use boomerang_core::corpus::{Corpus, course};
use boomerang_core::distill::{Batch, Distiller, StepReport, TextRows, TooShort};
use boomerang_core::evaluate::ReadBackError;
use boomerang_core::plan::LayerPlan;
use boomerang_core::prune::{Family, FamilyError, Teacher};
use boomerang_core::similarity::block_similarity;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::messages::CourseSettings;

/// A student in training. The lines of the generated corpus are written as they are needed.
pub struct Course {
    distiller: Distiller,
    teacher: Teacher,
    lessons: Box<dyn Iterator<Item = Batch>>,
    n_steps: usize,
    /// Rows on which the student is measured, and compared with its teacher.
    unseen: Batch,
    /// Behind the family's name, with what the student learnt from.
    suffix: String,
}

/// Why a student cannot be taught.
#[derive(Debug, Error)]
pub enum CourseError {
    #[error(
        "texts to learn from are written for the family that comes with the page, and no other"
    )]
    Text,
    #[error(
        "teaching it takes about {:.1} GB, and a program in a browser has at most {:.1} GB",
        *needed as f64 / 1e9,
        *most as f64 / 1e9
    )]
    Room { needed: u64, most: u64 },
    #[error(transparent)]
    TooShort(#[from] TooShort),
    #[error("the texts hold token {token}, the teacher's vocabulary ends at {}", vocab - 1)]
    OutsideVocabulary { token: u32, vocab: usize },
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
    Config(#[from] ConfigError),
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
const ON_OWN_TEXTS: &str = " on texts of your own";

/// What a program with 32-bit addresses has, without what goes to its code and to files on their way.
const MOST_BYTES: u64 = (4 << 30) - (384 << 20);
/// Weight, gradient and the two moments of the optimizer, four bytes each.
const BYTES_PER_TAUGHT: u64 = 16;
/// Logits of both models, their logarithms, and the gradients of all that.
const N_LOGITS: u64 = 8;

/// Whether a student of this plan can be taught in a browser, before anything is fetched for it.
///
/// # Errors
/// [`CourseError::Room`], by the weights and the logits of a step; what lies between them counts less.
pub fn check_room(manifest: &Manifest, plan: &LayerPlan) -> Result<(), CourseError> {
    let config = manifest.config()?;
    let n_taught = config.n_params_of(plan.n_student_layers(), manifest.student.tied);
    let n_teacher = config.n_params_of(plan.n_teacher_layers(), manifest.teacher.tied);
    let n_logits = course::TOKENS_PER_STEP as u64 * config.vocab as u64;
    let parts = [(n_teacher, 4), (n_taught, BYTES_PER_TAUGHT), (n_logits, 4 * N_LOGITS)];
    let add = |sum: u64, (n, n_bytes): (u64, u64)| sum.saturating_add(n.saturating_mul(n_bytes));
    let needed = parts.into_iter().fold(0, add);
    if needed > MOST_BYTES {
        return Err(CourseError::Room { needed, most: MOST_BYTES });
    }
    Ok(())
}

impl Course {
    /// Cuts the student out of its teacher, to read the generated corpus; `manifest` says whether its
    /// lines can be written for this family.
    ///
    /// # Errors
    /// [`CourseError`] for a family of another vocabulary, a plan of another teacher, or settings
    /// from which nothing is learnt.
    pub fn new(
        teacher: Teacher,
        manifest: &Manifest,
        settings: &CourseSettings,
    ) -> Result<Self, CourseError> {
        let Made { corpus_seed, seq_len } = serde_json::from_str(MADE)?;
        let corpus = Corpus::new(corpus_seed);
        if !is_of(&corpus, manifest) {
            return Err(CourseError::Text);
        }
        let unseen = corpus.lessons(UNSEEN_SEED, seq_len).next().ok_or(CourseError::Text)?;
        let lessons = Box::new(corpus.into_lessons(settings.seed, seq_len));
        Self::of(teacher, settings, lessons, unseen, SUFFIX.to_owned())
    }

    /// The same with texts of the reader's own, as the teacher's tokens.
    ///
    /// # Errors
    /// [`CourseError::TooShort`] for texts that do not fill a step; else as [`Course::new`].
    pub fn on(
        documents: &[Vec<u32>],
        teacher: Teacher,
        settings: &CourseSettings,
    ) -> Result<Self, CourseError> {
        let config = teacher.model().config();
        let vocab = config.vocab;
        let mut tokens = documents.iter().flatten();
        if let Some(&token) = tokens.find(|&&token| token as usize >= vocab) {
            return Err(CourseError::OutsideVocabulary { token, vocab });
        }
        let Made { seq_len, .. } = serde_json::from_str(MADE)?;
        let seq = seq_len.min(config.max_seq);
        let rows = TextRows::new(documents, seq, config.eos_token()?, course::TOKENS_PER_STEP)?;
        let unseen = rows.held_out();
        let lessons = Box::new(rows.into_lessons(settings.seed));
        Self::of(teacher, settings, lessons, unseen, format!("{SUFFIX}{ON_OWN_TEXTS}"))
    }

    fn of(
        teacher: Teacher,
        settings: &CourseSettings,
        lessons: Box<dyn Iterator<Item = Batch>>,
        unseen: Batch,
        suffix: String,
    ) -> Result<Self, CourseError> {
        let CourseSettings { plan, n_steps, learning_rate, loss, .. } = settings;
        let numbers = [loss.cross_entropy, loss.kl, loss.alignment];
        if numbers.iter().chain([learning_rate]).any(|number| !(0.0..1e6).contains(number)) {
            return Err(CourseError::Number);
        }
        if numbers.iter().all(|&weight| weight == 0.0) {
            return Err(CourseError::NoTerm);
        }
        let student = teacher.prune(plan)?;
        let settings = course::settings(*loss, *learning_rate, *n_steps);
        Ok(Self {
            distiller: Distiller::new(teacher.clone(), student, settings, 0),
            teacher,
            lessons,
            n_steps: *n_steps,
            unseen,
            suffix,
        })
    }

    /// Tokens on which the student is measured.
    pub fn n_held_out(&self) -> usize {
        self.unseen.n_tokens()
    }

    /// The loss of the student as it is now on rows that it does not learn from.
    pub async fn held_out_loss(&self) -> f64 {
        self.distiller.measure(&self.unseen).await.total
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
        let name = bundle.name.split(SUFFIX).next().unwrap_or(&bundle.name);
        let contents = StudentContents {
            name: &format!("{name}{}", self.suffix),
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
    use boomerang_core::plan::Patch;
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
    fn a_family_that_cannot_be_taught_in_a_browser_is_refused_before_it_is_fetched() {
        let mut manifest = manifest();
        let plan = manifest.plan.clone();
        assert!(check_room(&manifest, &plan).is_ok());
        // The logits of a step alone.
        manifest.config["vocab_size"] = 200_000.into();
        let refused = check_room(&manifest, &plan).unwrap_err();
        assert!(matches!(refused, CourseError::Room { .. }));
        assert!(refused.to_string().contains("at most 3.9 GB"), "{refused}");
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
    fn a_student_learns_from_texts_of_the_readers_own() {
        let manifest = manifest();
        let corpus = Corpus::new(5);
        let lines: Vec<Vec<u32>> = corpus.rows(7, 64).take(40).map(|row| row.tokens).collect();
        let settings = settings(&[0, 6], course::loss_weights());
        let mut course = Course::on(&lines, teacher(&manifest), &settings).unwrap();
        assert!(course.n_held_out() > 0);
        let before = block_on(course.held_out_loss());
        while !course.is_whole() {
            block_on(course.step()).unwrap();
        }
        let after = block_on(course.held_out_loss());
        assert!(after < before, "from {before} to {after}");

        let (_, text) = block_on(course.files(&manifest)).unwrap().pop().unwrap();
        let taught = Manifest::from_json(std::str::from_utf8(&text).unwrap()).unwrap();
        assert_eq!(taught.name, "Boomerang demo, taught here on texts of your own");
    }

    #[test]
    fn texts_that_are_too_short_or_not_the_teachers_are_refused() {
        let manifest = manifest();
        let settings = settings(&[0], course::loss_weights());
        let refusal = |tokens| Course::on(&[tokens], teacher(&manifest), &settings).err();
        assert!(matches!(
            refusal(vec![5; 1023]),
            Some(CourseError::TooShort(TooShort { found: 1023, needed: 1024 }))
        ));
        assert!(matches!(
            refusal(vec![60_000; 2000]),
            Some(CourseError::OutsideVocabulary { token: 60_000, .. })
        ));
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
