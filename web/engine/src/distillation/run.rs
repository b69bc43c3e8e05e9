//! One distillation run: its training data, its steps, and the student at the end.

use boomerang_core::bundle::{BundleError, Manifest, StudentContents, student_files};
use boomerang_core::checkpoint::Precision;
use boomerang_core::config::{ConfigError, ModelConfig};
use boomerang_core::corpus::{Corpus, distill_recipe};
use boomerang_core::distill::loss::LossTerm;
use boomerang_core::distill::{
    Batch, Distiller, Levers, StepError, StepMemory, StepReport, StepShape, TextRows, TooShort,
};
use boomerang_core::evaluate::ReadBackError;
use boomerang_core::plan::LayerPlan;
use boomerang_core::prune::{Family, FamilyError, Teacher};
use boomerang_core::similarity::block_similarity;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::messages::DistillSettings;

/// A student in training. The generated corpus is produced as it is needed.
pub struct DistillRun {
    distiller: Distiller,
    teacher: Teacher,
    batches: Box<dyn Iterator<Item = Batch>>,
    n_steps: usize,
    /// Sequences on which the student is evaluated and compared with its teacher.
    held_out: Batch,
    /// Of the family's name, with the training data.
    suffix: String,
}

/// Why a student cannot be distilled.
#[derive(Debug, Error)]
pub enum DistillRunError {
    #[error(
        "the generated corpus is only for the family of this page, not for one with another tokenizer"
    )]
    Corpus,
    #[error(
        "distilling it takes about {:.1} GB, and a program in a browser has at most {:.1} GB",
        *needed as f64 / 1e9,
        *most as f64 / 1e9
    )]
    Memory { needed: u64, most: u64 },
    #[error(transparent)]
    TooShort(#[from] TooShort),
    #[error("the texts contain token {token}; the teacher's vocabulary ends at {}", vocab - 1)]
    OutsideVocabulary { token: u32, vocab: usize },
    #[error("every term of the loss has weight 0; set at least one above 0")]
    NoTerm,
    #[error("a loss weight or the learning rate is negative or not a number")]
    Number,
    #[error("the loss is NaN or infinite at step {step}")]
    Diverged { step: usize },
    #[error(transparent)]
    Family(#[from] FamilyError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    ReadBack(#[from] ReadBackError),
    #[error("the metadata of the embedded teacher cannot be read: {0}")]
    Made(#[from] serde_json::Error),
}

/// How the embedded teacher was trained, as far as it determines its student's training data.
#[derive(Deserialize)]
struct Made {
    corpus_seed: u64,
    seq_len: usize,
}

const MADE: &str = include_str!("../../../../assets/teacher/made.json");

/// Far from the seeds of runs.
const HELD_OUT_SEED: u64 = 1_000_000;

/// Of a distilled student's files, below the manifest.
const FOLDER: &str = "taught";
const SUFFIX: &str = ", distilled here";
const ON_OWN_TEXTS: &str = " on your own texts";

/// What a program with 32-bit addresses has, without its code and files being loaded.
const MOST_BYTES: u64 = (4 << 30) - (384 << 20);

/// Checks, before anything is fetched, that a student of this plan can be distilled in a browser.
///
/// # Errors
/// [`DistillRunError::Memory`], by the buffers of a step.
pub fn check_memory(manifest: &Manifest, plan: &LayerPlan) -> Result<(), DistillRunError> {
    let config = manifest.config()?;
    let tied = |config: ModelConfig, tied| config.with_layers(config.layers.clone(), tied);
    let student = tied(config.keeping(&plan.kept()), manifest.student.tied);
    let teacher = tied(config, manifest.teacher.tied);
    let shape = StepShape {
        student: &student,
        teacher: Some(&teacher),
        frozen: &[],
        n_sequences: 1,
        seq: distill_recipe::TOKENS_PER_STEP,
        composes: true,
        patch_probability: 0.0,
    };
    let needed = StepMemory::of(&shape, &Levers::default()).total();
    if needed > MOST_BYTES {
        return Err(DistillRunError::Memory { needed, most: MOST_BYTES });
    }
    Ok(())
}

impl DistillRun {
    /// Prunes the student from its teacher, to train on the generated corpus; `manifest` shows whether
    /// that corpus is for this family.
    ///
    /// # Errors
    /// [`DistillRunError`] for a family with another vocabulary, a plan of another teacher, or invalid
    /// settings.
    pub fn new(
        teacher: Teacher,
        manifest: &Manifest,
        settings: &DistillSettings,
    ) -> Result<Self, DistillRunError> {
        let Made { corpus_seed, seq_len } = serde_json::from_str(MADE)?;
        let corpus = Corpus::new(corpus_seed);
        if !is_corpus_of(&corpus, manifest) {
            return Err(DistillRunError::Corpus);
        }
        let held_out =
            corpus.batches(HELD_OUT_SEED, seq_len).next().ok_or(DistillRunError::Corpus)?;
        let batches = Box::new(corpus.into_batches(settings.seed, seq_len));
        Self::of(teacher, settings, batches, held_out, SUFFIX.to_owned())
    }

    /// The same with the user's own texts, as the teacher's tokens.
    ///
    /// # Errors
    /// [`DistillRunError::TooShort`] for texts that do not fill a step; else as [`DistillRun::new`].
    pub fn on(
        documents: &[Vec<u32>],
        teacher: Teacher,
        settings: &DistillSettings,
    ) -> Result<Self, DistillRunError> {
        let config = teacher.model().config();
        let vocab = config.vocab;
        let mut tokens = documents.iter().flatten();
        if let Some(&token) = tokens.find(|&&token| token as usize >= vocab) {
            return Err(DistillRunError::OutsideVocabulary { token, vocab });
        }
        let Made { seq_len, .. } = serde_json::from_str(MADE)?;
        let seq = seq_len.min(config.max_seq);
        let rows =
            TextRows::new(documents, seq, config.eos_token()?, distill_recipe::TOKENS_PER_STEP)?;
        let held_out = rows.held_out();
        let batches = Box::new(rows.into_lessons(settings.seed));
        Self::of(teacher, settings, batches, held_out, format!("{SUFFIX}{ON_OWN_TEXTS}"))
    }

    fn of(
        teacher: Teacher,
        settings: &DistillSettings,
        batches: Box<dyn Iterator<Item = Batch>>,
        held_out: Batch,
        suffix: String,
    ) -> Result<Self, DistillRunError> {
        let DistillSettings { plan, n_steps, learning_rate, loss, .. } = settings;
        let numbers = LossTerm::ALL.map(|term| term.weight(loss));
        if numbers.iter().chain([learning_rate]).any(|number| !(0.0..1e6).contains(number)) {
            return Err(DistillRunError::Number);
        }
        if numbers.iter().all(|&weight| weight == 0.0) {
            return Err(DistillRunError::NoTerm);
        }
        let student = teacher.prune(plan)?;
        let settings = distill_recipe::settings(*loss, *learning_rate, *n_steps);
        Ok(Self {
            distiller: Distiller::new(teacher.clone(), student, settings, 0),
            teacher,
            batches,
            n_steps: *n_steps,
            held_out,
            suffix,
        })
    }

    /// Tokens on which the student is evaluated.
    pub fn n_held_out(&self) -> usize {
        self.held_out.n_tokens()
    }

    /// The current loss of the student on the held-out sequences.
    ///
    /// # Errors
    /// [`DistillRunError::Step`], which a teacher in memory never gives.
    pub async fn held_out_loss(&self) -> Result<f64, DistillRunError> {
        let measured = self.distiller.measure(&self.held_out).await;
        Ok(measured.map_err(StepError::from)?.total)
    }

    pub fn is_done(&self) -> bool {
        self.distiller.n_steps() >= self.n_steps
    }

    pub fn n_steps_done(&self) -> usize {
        self.distiller.n_steps()
    }

    /// # Errors
    /// [`DistillRunError::Diverged`], after which the student is unusable.
    pub async fn step(&mut self) -> Result<StepReport, DistillRunError> {
        let batches: Vec<Batch> = self.batches.by_ref().take(1).collect();
        let report = self.distiller.step(&batches).await?;
        let step = self.distiller.n_steps();
        if report.is_finite() { Ok(report) } else { Err(DistillRunError::Diverged { step }) }
    }

    /// The current student as the files of a family; the last one is its manifest.
    ///
    /// # Errors
    /// [`DistillRunError`] when the weights cannot be read back.
    pub async fn files(
        &self,
        bundle: &Manifest,
    ) -> Result<Vec<(String, Vec<u8>)>, DistillRunError> {
        let student = self.distiller.student();
        let family = Family::new(self.teacher.clone(), student.clone())?;
        let similarity = block_similarity(&family, std::slice::from_ref(&self.held_out)).await?;
        let name = bundle.name.split(SUFFIX).next().unwrap_or(&bundle.name);
        let contents = StudentContents {
            name: &format!("{name}{}", self.suffix),
            folder: FOLDER,
            // As in the bundle of the demo.
            precision: Precision::F16,
            similarity,
        };
        Ok(student_files(bundle, &student, contents)?)
    }
}

/// Whether the family has the tokenizer of this corpus.
fn is_corpus_of(corpus: &Corpus, manifest: &Manifest) -> bool {
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

    fn settings(kept: &[usize], loss: LossWeights) -> DistillSettings {
        let plan = LayerPlan::keep(kept, 12).unwrap();
        DistillSettings {
            plan,
            n_steps: 3,
            learning_rate: distill_recipe::LEARNING_RATE,
            loss,
            seed: 0,
        }
    }

    fn run(settings: &DistillSettings) -> Result<DistillRun, DistillRunError> {
        let manifest = manifest();
        DistillRun::new(teacher(&manifest), &manifest, settings)
    }

    #[test]
    fn a_family_that_does_not_fit_in_memory_is_refused_before_it_is_fetched() {
        let mut manifest = manifest();
        let plan = manifest.plan.clone();
        assert!(check_memory(&manifest, &plan).is_ok());
        manifest.config["vocab_size"] = 4_000_000.into();
        let refused = check_memory(&manifest, &plan).unwrap_err();
        assert!(matches!(refused, DistillRunError::Memory { .. }));
        assert!(refused.to_string().contains("at most 3.9 GB"), "{refused}");
    }

    #[test]
    fn a_student_of_few_layers_is_distilled_and_becomes_a_family() {
        let mut run = run(&settings(&[0, 6], distill_recipe::loss_weights())).unwrap();
        let mut totals = Vec::new();
        while !run.is_done() {
            totals.push(block_on(run.step()).unwrap().terms.total);
        }
        // The first step's learning rate is 0.
        assert!(totals[2] < totals[0], "{totals:?}");

        let files = block_on(run.files(&manifest())).unwrap();
        let (_, text) = files.last().unwrap();
        let distilled = Manifest::from_json(std::str::from_utf8(text).unwrap()).unwrap();
        assert_eq!(distilled.name, "Boomerang demo, distilled here");
        assert_eq!((distilled.plan.kept(), distilled.similarity.len()), (vec![0, 6], 2));
        assert!(distilled.similarity.iter().all(|cosine| (-1.0..=1.0).contains(cosine)));
        for (path, bytes) in &files[..files.len() - 1] {
            let file = distilled.files().find(|file| file.path == *path).unwrap();
            file.verify(bytes).unwrap();
        }
    }

    #[test]
    fn a_student_is_distilled_on_the_users_own_texts() {
        let manifest = manifest();
        let corpus = Corpus::new(5);
        let lines: Vec<Vec<u32>> = corpus.rows(7, 64).take(40).map(|row| row.tokens).collect();
        let settings = settings(&[0, 6], distill_recipe::loss_weights());
        let mut run = DistillRun::on(&lines, teacher(&manifest), &settings).unwrap();
        assert!(run.n_held_out() > 0);
        let before = block_on(run.held_out_loss()).unwrap();
        while !run.is_done() {
            block_on(run.step()).unwrap();
        }
        let after = block_on(run.held_out_loss()).unwrap();
        assert!(after < before, "from {before} to {after}");

        let (_, text) = block_on(run.files(&manifest)).unwrap().pop().unwrap();
        let distilled = Manifest::from_json(std::str::from_utf8(&text).unwrap()).unwrap();
        assert_eq!(distilled.name, "Boomerang demo, distilled here on your own texts");
    }

    #[test]
    fn texts_that_are_too_short_or_not_the_teachers_are_refused() {
        let manifest = manifest();
        let settings = settings(&[0], distill_recipe::loss_weights());
        let refusal = |tokens| DistillRun::on(&[tokens], teacher(&manifest), &settings).err();
        assert!(matches!(
            refusal(vec![5; 1023]),
            Some(DistillRunError::TooShort(TooShort { found: 1023, needed: 1024 }))
        ));
        assert!(matches!(
            refusal(vec![60_000; 2000]),
            Some(DistillRunError::OutsideVocabulary { token: 60_000, .. })
        ));
    }

    #[test]
    fn a_run_needs_a_loss_term_and_a_corpus_of_its_family() {
        let none =
            LossWeights { cross_entropy: 0.0, kl: 0.0, alignment: 0.0, ..LossWeights::default() };
        assert!(matches!(run(&settings(&[0], none)).err(), Some(DistillRunError::NoTerm)));
        let invalid = LossWeights { kl: f64::NAN, ..LossWeights::default() };
        assert!(matches!(run(&settings(&[0], invalid)).err(), Some(DistillRunError::Number)));
        let mut other = manifest();
        let teacher = teacher(&other);
        other.tokenizer.sha256 = "0".repeat(64);
        let settings = settings(&[0], LossWeights::default());
        let refused = DistillRun::new(teacher, &other, &settings).err();
        assert!(matches!(refused, Some(DistillRunError::Corpus)));
    }
}
