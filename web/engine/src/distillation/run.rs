//! One distillation run: its training data, its steps, and the student at the end.

mod sizes;
#[cfg(test)]
mod tests;

use boomerang_core::bundle::{BundleError, Manifest, StudentContents, student_files};
use boomerang_core::checkpoint::{Checkpoint, Precision, model_to_bytes};
use boomerang_core::config::{ConfigError, ModelConfig};
use boomerang_core::corpus::{Corpus, distill_recipe};
use boomerang_core::distill::loss::LossTerm;
use boomerang_core::distill::{
    Batch, Distiller, Layout, Levers, StepError, StepMemory, StepReport, StepShape, TextRows,
    TooShort,
};
use boomerang_core::evaluate::ReadBackError;
use boomerang_core::plan::{LayerPlan, Patch, PlanError};
use boomerang_core::prune::{Family, FamilyError, Student, Teacher};
use boomerang_core::similarity::block_similarity;
use burn::tensor::Device;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::checkpoint::{
    MOST_BYTES as MOST_CHECKPOINT, RunCheckpoint, RunCheckpointError, RunHead,
};
use super::messages::{DistillSettings, HeldOutLoss, TextsRead};
pub use sizes::SizeMeter;

/// A student in training. The generated corpus is produced as it is needed.
pub struct DistillRun {
    distiller: Distiller,
    teacher: Teacher,
    data: TrainingData,
    batches: Box<dyn Iterator<Item = Batch>>,
    settings: DistillSettings,
    /// Sequences on which the student is evaluated and compared with its teacher.
    held_out: Batch,
}

/// What a student is trained on.
#[derive(Clone, Debug, PartialEq)]
pub enum TrainingData {
    /// The generated corpus.
    Corpus,
    /// The user's texts as the teacher's tokens, and what is reported of them.
    Texts(Vec<Vec<u32>>, TextsRead),
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
    Plan(#[from] PlanError),
    #[error(transparent)]
    Checkpoint(#[from] RunCheckpointError),
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

/// Sequences of a glimpse; more are not needed to see how similar layers are.
const N_GLIMPSED: usize = 2;

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
    /// Prunes the student from its teacher; `manifest` shows whether the generated corpus is for this
    /// family.
    ///
    /// # Errors
    /// [`DistillRunError`] for the corpus of another vocabulary, texts that do not fill a step, a plan of
    /// another teacher, or invalid settings.
    pub fn new(
        teacher: Teacher,
        manifest: &Manifest,
        settings: DistillSettings,
        data: TrainingData,
    ) -> Result<Self, DistillRunError> {
        let student = teacher.prune(&settings.plan)?;
        Self::at(0, teacher, student, manifest, settings, data)
    }

    /// The run of a checkpoint, which takes the steps that it would have taken.
    ///
    /// # Errors
    /// [`DistillRunError::Checkpoint`] for one of another teacher, or whose numbers do not fit.
    pub fn restored(
        teacher: Teacher,
        manifest: &Manifest,
        checkpoint: RunCheckpoint,
    ) -> Result<Self, DistillRunError> {
        let RunCheckpoint { head, student, optimizer } = checkpoint;
        let (found, expected) = (head.teacher, manifest.teacher_fingerprint());
        if found != expected {
            return Err(RunCheckpointError::Teacher { found, expected }.into());
        }
        let config = teacher.prune(&head.settings.plan)?.model().config().clone();
        let device = teacher.model().device();
        let parsed = Checkpoint::parse([("the stored student".to_owned(), &*student)]);
        let model = parsed.and_then(|parsed| parsed.read_model(&config, &device));
        let student =
            Student::new(model.map_err(RunCheckpointError::from)?, head.settings.plan.clone())?;
        let data = match head.texts {
            None => TrainingData::Corpus,
            Some(read) => TrainingData::Texts(head.documents, read),
        };
        let run = Self::at(head.n_steps_done, teacher, student, manifest, head.settings, data)?;
        let distiller = run.distiller.with_optimizer_state(&optimizer);
        Ok(Self { distiller: distiller.map_err(RunCheckpointError::from)?, ..run })
    }

    /// The run after `n_steps_done`, with this student.
    fn at(
        n_steps_done: usize,
        teacher: Teacher,
        student: Student,
        manifest: &Manifest,
        settings: DistillSettings,
        data: TrainingData,
    ) -> Result<Self, DistillRunError> {
        let numbers = LossTerm::ALL.map(|term| term.weight(&settings.loss));
        let is_usable = |number: &f64| (0.0..1e6).contains(number);
        if !numbers.iter().chain([&settings.learning_rate]).all(is_usable) {
            return Err(DistillRunError::Number);
        }
        if numbers.iter().all(|&weight| weight == 0.0) {
            return Err(DistillRunError::NoTerm);
        }
        let (held_out, mut batches) = match &data {
            TrainingData::Corpus => of_corpus(manifest, settings.seed)?,
            TrainingData::Texts(documents, _) => {
                of_texts(documents, teacher.model().config(), settings.seed)?
            }
        };
        if let Some(last) = n_steps_done.checked_sub(1) {
            // Those that were trained on.
            batches.nth(last);
        }
        let recipe =
            distill_recipe::settings(settings.loss, settings.learning_rate, settings.n_steps);
        let distiller = Distiller::new(teacher.clone(), student, recipe, n_steps_done);
        Ok(Self { distiller, teacher, data, batches, settings, held_out })
    }

    /// The user's texts; `None` for the generated corpus.
    pub fn texts(&self) -> Option<TextsRead> {
        let n_held_out = self.held_out.n_tokens();
        match &self.data {
            TrainingData::Corpus => None,
            TrainingData::Texts(_, read) => Some(TextsRead { n_held_out, ..read.clone() }),
        }
    }

    /// The current loss of the student on the held-out sequences.
    ///
    /// # Errors
    /// [`DistillRunError::Step`], which a teacher in memory never gives.
    pub async fn held_out_loss(&self) -> Result<HeldOutLoss, DistillRunError> {
        let measured = self.distiller.measure(&self.held_out).await;
        let terms = measured.map_err(StepError::from)?;
        let nats = match terms.cross_entropy {
            Some(nats) => nats,
            // A term of weight 0 is not computed.
            None => {
                let student = Patch::none(&self.settings.plan);
                let held_out = std::slice::from_ref(&self.held_out);
                self.distiller.member_loss(&student, held_out).await.unwrap_or(f64::NAN)
            }
        };
        Ok(HeldOutLoss { step: self.n_steps_done(), nats, terms })
    }

    /// Mean cosine similarity of each student layer's output with that of its block, on a few held-out
    /// sequences.
    ///
    /// # Errors
    /// [`DistillRunError::ReadBack`] when a value is not finite.
    pub async fn similarity(&self) -> Result<Vec<f64>, DistillRunError> {
        let rows = self.held_out.rows().iter().take(N_GLIMPSED).cloned().collect();
        let few = Batch::new(rows, Layout::Packed);
        Ok(block_similarity(&self.family()?, &[few]).await?)
    }

    pub fn student(&self) -> Student {
        self.distiller.student()
    }

    fn family(&self) -> Result<Family, DistillRunError> {
        Ok(Family::new(self.teacher.clone(), self.student())?)
    }

    pub fn is_done(&self) -> bool {
        self.distiller.n_steps() >= self.settings.n_steps
    }

    pub fn n_steps(&self) -> usize {
        self.settings.n_steps
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

    /// What the run is resumed from.
    ///
    /// # Errors
    /// [`RunCheckpointError`] when it would be too large, a value is not finite, or the GPU is lost.
    pub async fn checkpoint(
        &self,
        manifest: &Manifest,
    ) -> Result<RunCheckpoint, RunCheckpointError> {
        // Its weights and two moments of each.
        let n_bytes = 3 * 4 * self.student().model().n_params();
        if n_bytes > MOST_CHECKPOINT {
            return Err(RunCheckpointError::TooLarge { found: n_bytes });
        }
        let optimizer = self.distiller.optimizer_state_by(&host()).await?;
        let (documents, texts) = match &self.data {
            TrainingData::Corpus => (Vec::new(), None),
            TrainingData::Texts(documents, read) => (documents.clone(), Some(read.clone())),
        };
        let head = RunHead {
            teacher: manifest.teacher_fingerprint(),
            settings: self.settings.clone(),
            n_steps_done: self.n_steps_done(),
            texts,
            documents,
        };
        let student = self.distiller.student_on(&host()).await?;
        let student = model_to_bytes(student.model(), Precision::F32)?;
        Ok(RunCheckpoint { head, student, optimizer })
    }

    /// The current student as the files of a family whose name ends with `label`; the last one is its
    /// manifest.
    ///
    /// # Errors
    /// [`DistillRunError`] when the weights cannot be read back.
    pub async fn files(
        &self,
        bundle: &Manifest,
        label: &str,
    ) -> Result<Vec<(String, Vec<u8>)>, DistillRunError> {
        let held_out = std::slice::from_ref(&self.held_out);
        let similarity = block_similarity(&self.family()?, held_out).await?;
        let student = self.distiller.student_on(&host()).await;
        let student = student.map_err(RunCheckpointError::from)?;
        let name = bundle.name.split(SUFFIX).next().unwrap_or(&bundle.name);
        let texts = match self.data {
            TrainingData::Corpus => "",
            TrainingData::Texts(..) => ON_OWN_TEXTS,
        };
        let contents = StudentContents {
            name: &format!("{name}{SUFFIX}{texts}, {label}"),
            folder: FOLDER,
            // As in the bundle of the demo.
            precision: Precision::F16,
            similarity,
        };
        Ok(student_files(bundle, &student, contents)?)
    }
}

/// Where values are read from: a program in a browser cannot wait for WebGPU.
fn host() -> Device {
    Device::flex()
}

/// Held-out sequences, and a batch for each step.
type Batches = (Batch, Box<dyn Iterator<Item = Batch>>);

fn of_corpus(manifest: &Manifest, seed: u64) -> Result<Batches, DistillRunError> {
    let Made { corpus_seed, seq_len } = serde_json::from_str(MADE)?;
    let corpus = Corpus::new(corpus_seed);
    if !is_corpus_of(&corpus, manifest) {
        return Err(DistillRunError::Corpus);
    }
    let held_out = corpus.batches(HELD_OUT_SEED, seq_len).next().ok_or(DistillRunError::Corpus)?;
    Ok((held_out, Box::new(corpus.into_batches(seed, seq_len))))
}

fn of_texts(
    documents: &[Vec<u32>],
    teacher: &ModelConfig,
    seed: u64,
) -> Result<Batches, DistillRunError> {
    let vocab = teacher.vocab;
    let mut tokens = documents.iter().flatten();
    if let Some(&token) = tokens.find(|&&token| token as usize >= vocab) {
        return Err(DistillRunError::OutsideVocabulary { token, vocab });
    }
    let Made { seq_len, .. } = serde_json::from_str(MADE)?;
    let seq = seq_len.min(teacher.max_seq);
    let rows =
        TextRows::new(documents, seq, teacher.eos_token()?, distill_recipe::TOKENS_PER_STEP)?;
    Ok((rows.held_out(), Box::new(rows.into_lessons(seed))))
}

/// Whether the family has the tokenizer of this corpus.
fn is_corpus_of(corpus: &Corpus, manifest: &Manifest) -> bool {
    let hash = Sha256::digest(corpus.tokenizer_json());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    hash == manifest.tokenizer.sha256
}
