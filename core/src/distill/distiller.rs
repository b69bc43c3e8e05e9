//! A student in training: one step against its frozen teacher.

use burn::tensor::Device;

use super::batch::Batch;
use super::levers::Levers;
use super::loss::{LossTerms, LossWeights};
use super::micro_batch::{Imitated, backward, forward};
use super::pending;
use super::report::StepReport;
use super::settings::DistillSettings;
use super::update::{OptimizerStateError, Updater};
use crate::plan::Alignment;
use crate::prune::{Student, Teacher};

/// A student in training and the teacher it imitates.
pub struct Distiller {
    teacher: Teacher,
    student: Student,
    updater: Updater,
    weights: LossWeights,
    alignment: Alignment,
    levers: Levers,
}

impl Distiller {
    /// Training starts from `student` at `step`, which is 0 unless a run is resumed.
    ///
    /// The two have to be a family. The teacher and the data live on the student's device.
    pub fn new(teacher: Teacher, student: Student, settings: DistillSettings, step: usize) -> Self {
        let alignment = settings.alignment.unwrap_or_else(|| student.plan().alignment());
        let updater = Updater::new(student.model().clone(), settings.update, step);
        let levers = Levers::default();
        Self { teacher, student, updater, weights: settings.loss, alignment, levers }
    }

    /// With other levers; the result is the same.
    #[must_use]
    pub fn with_levers(self, levers: Levers) -> Self {
        Self { levers, ..self }
    }

    /// Resumes from the optimizer state of an earlier run.
    ///
    /// # Errors
    /// [`OptimizerStateError`] for bytes that are no optimizer state.
    pub fn with_optimizer_state(mut self, bytes: Vec<u8>) -> Result<Self, OptimizerStateError> {
        self.updater = self.updater.with_optimizer_state(&bytes)?;
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

    /// The student as it is now.
    pub fn student(&self) -> Student {
        self.student.with_model(self.updater.model().clone())
    }

    /// One optimizer step over the gradients of some micro-batches.
    ///
    /// Reads back from the device once, at the end, whatever the number of micro-batches.
    pub async fn step(&mut self, batches: &[Batch]) -> StepReport {
        let mut gradients = self.updater.gradients();
        let mut pending = Vec::with_capacity(batches.len());
        for batch in batches {
            let student = self.updater.model();
            let imitated = Some(self.imitated());
            let (weights, levers) = (&self.weights, &self.levers);
            pending.push(backward(student, imitated, batch, weights, levers, &mut gradients));
        }
        self.updater.finish(gradients, pending, batches).await
    }

    /// The loss of the student as it is now, without a step.
    pub async fn measure(&self, batch: &Batch) -> LossTerms {
        let (student, imitated) = (self.updater.model(), Some(self.imitated()));
        pending::read_alone(&forward(student, imitated, batch, &self.weights, &self.levers)).await
    }

    fn imitated(&self) -> Imitated<'_> {
        Imitated { teacher: self.teacher.model(), pairs: self.alignment.as_slice() }
    }

    pub fn device(&self) -> Device {
        self.teacher.model().device()
    }
}
