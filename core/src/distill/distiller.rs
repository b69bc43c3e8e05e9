//! A student in training: one step against its frozen teacher.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};

use super::batch::{Batch, BatchTensors};
use super::loss::{self, KlPositions, LossTerm, LossTerms, LossWeights};
use super::pending::{self, PendingTerms};
use super::report::StepReport;
use super::settings::DistillSettings;
use super::update::{OptimizerStateError, Updater};
use crate::model::LanguageModel;
use crate::plan::Alignment;
use crate::prune::{Student, Teacher};

/// A student in training and the teacher it imitates.
pub struct Distiller {
    teacher: Teacher,
    student: Student,
    updater: Updater,
    weights: LossWeights,
    alignment: Alignment,
}

impl Distiller {
    /// Training starts from `student` at `step`, which is 0 unless a run is resumed.
    ///
    /// The two have to be a family. The teacher and the data live on the student's device.
    pub fn new(teacher: Teacher, student: Student, settings: DistillSettings, step: usize) -> Self {
        let alignment = settings.alignment.unwrap_or_else(|| student.plan().alignment());
        let updater = Updater::new(student.model().clone(), settings.update, step);
        Self { teacher, student, updater, weights: settings.loss, alignment }
    }

    /// Goes on with the optimizer state of an earlier run.
    ///
    /// # Errors
    /// [`OptimizerStateError`] for bytes that are no optimizer state.
    pub fn with_optimizer_state(mut self, bytes: Vec<u8>) -> Result<Self, OptimizerStateError> {
        self.updater = self.updater.with_optimizer_state(bytes)?;
        Ok(self)
    }

    /// # Errors
    /// [`OptimizerStateError`] when the state cannot be laid out.
    pub fn optimizer_state(&self) -> Result<Vec<u8>, OptimizerStateError> {
        self.updater.optimizer_state()
    }

    /// Steps taken, those before a resume included.
    pub fn n_steps(&self) -> usize {
        self.updater.step()
    }

    /// The student as it is now, off the training graph.
    pub fn student(&self) -> Student {
        self.student.with_model(self.updater.model().clone().without_gradients())
    }

    /// One step of the optimizer over the gradients of some micro-batches.
    ///
    /// Reads back from the device once, at the end, whatever the number of micro-batches.
    pub async fn step(&mut self, batches: &[Batch]) -> StepReport {
        let device = self.teacher.model().device();
        let mut pending = Vec::with_capacity(batches.len());
        for batch in batches {
            let terms = self.loss(self.updater.model(), &batch.to_device(&device));
            self.updater.accumulate(&terms.total);
            pending.push(terms.detached());
        }
        self.updater.finish(pending, batches).await
    }

    /// The loss of the student as it is now, without a step.
    pub async fn measure(&self, batch: &Batch) -> LossTerms {
        let batch = batch.to_device(&self.device());
        pending::read_alone(&self.loss(self.student().model(), &batch)).await
    }

    /// The loss terms of one micro-batch.
    fn loss(&self, student: &LanguageModel, batch: &BatchTensors) -> PendingTerms {
        let weights = &self.weights;
        let student_states = student.hidden_states(batch.tokens.clone(), &batch.mask);
        let teacher_states = self.teacher.model().hidden_states(batch.tokens.clone(), &batch.mask);

        let student_logits = (weights.cross_entropy != 0.0 || weights.kl != 0.0)
            .then(|| student.logits(last_rows(&student_states)));
        let student_logits = || student_logits.clone().expect("computed above");
        let parts = |term: LossTerm| match term {
            LossTerm::CrossEntropy => {
                let log_probs = log_softmax(student_logits(), 1);
                let (targets, has_target) = (batch.targets.clone(), batch.has_target.clone());
                vec![loss::cross_entropy(log_probs, targets, has_target, batch.n_targets)]
            }
            LossTerm::Kl => {
                let teacher_logits = self.teacher.model().logits(last_rows(&teacher_states));
                let (counts, n_rows) = match weights.kl_positions {
                    KlPositions::Valid => (Some(batch.is_token.clone()), batch.n_tokens),
                    KlPositions::All => (None, batch.is_token.dims()[0]),
                };
                let (student, temperature) = (student_logits(), weights.temperature);
                vec![loss::kl_divergence(student, teacher_logits, temperature, counts, n_rows)]
            }
            LossTerm::Alignment => {
                let pairs = self.alignment.as_slice().iter();
                let part = |&(student, teacher): &(usize, usize)| {
                    let (student, teacher) = (&student_states[student], &teacher_states[teacher]);
                    let is_token = batch.is_token.clone();
                    loss::alignment_loss(student.clone(), teacher.clone(), is_token, batch.n_tokens)
                };
                pairs.map(part).collect()
            }
        };
        PendingTerms::weigh(weights.terms().map(|term| (term, parts(term))).collect(), weights)
    }

    pub fn device(&self) -> Device {
        self.teacher.model().device()
    }
}

/// The last hidden state, `[batch, seq, d_model]` -> `[batch * seq, d_model]`.
pub(super) fn last_rows(states: &[Tensor<3>]) -> Tensor<2> {
    let last = states.last().expect("a model has at least its embedding state").clone();
    let [batch, seq, d_model] = last.dims();
    last.reshape([batch * seq, d_model])
}
