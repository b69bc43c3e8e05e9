//! A student in training: one step against its frozen teacher.

use std::io::Write;

use burn::tensor::Device;

use super::batch::{Batch, BatchTensors};
use super::levers::Levers;
use super::loss::{LossTerms, LossWeights};
use super::micro_batch::{Imitated, backward, forward};
use super::moments::OptimizerStateError;
use super::pending;
use super::report::StepReport;
use super::settings::DistillSettings;
use super::teacher::{TeacherError, TeacherSource};
use super::update::Updater;
use crate::checkpoint::CheckpointError;
use crate::plan::{Alignment, LayerPlan};
use crate::prune::Student;

/// A student in training and the teacher it imitates.
pub struct Distiller {
    teacher: TeacherSource,
    plan: LayerPlan,
    updater: Updater,
    weights: LossWeights,
    alignment: Alignment,
    levers: Levers,
}

impl Distiller {
    /// Training starts from `student` at `step`, which is 0 unless a run is resumed.
    ///
    /// The two have to be a family. The teacher and the data live on the student's device.
    pub fn new(
        teacher: impl Into<TeacherSource>,
        student: Student,
        settings: DistillSettings,
        step: usize,
    ) -> Self {
        let plan = student.plan().clone();
        let alignment = settings.alignment.unwrap_or_else(|| plan.alignment());
        let updater = Updater::new(student.into_model(), settings.update, step);
        let (teacher, weights, levers) = (teacher.into(), settings.loss, Levers::default());
        Self { teacher, plan, updater, weights, alignment, levers }
    }

    /// With other levers; the result is the same.
    #[must_use]
    pub fn with_levers(self, levers: Levers) -> Self {
        Self { levers, ..self }
    }

    /// Keeps the moments of AdamW on another device, where the weights are updated, too: a step moves
    /// gradients there, and weights there and back. Call it before an optimizer state is restored.
    #[must_use]
    pub fn with_optimizer_on(mut self, device: Device) -> Self {
        self.updater = self.updater.with_optimizer_on(device);
        self
    }

    /// Resumes from the optimizer state of an earlier run.
    ///
    /// # Errors
    /// [`OptimizerStateError`] for bytes that are no optimizer state.
    pub fn with_optimizer_state(mut self, bytes: &[u8]) -> Result<Self, OptimizerStateError> {
        self.updater = self.updater.with_optimizer_state(bytes)?;
        Ok(self)
    }

    /// Writes the optimizer state as safetensors, to resume from, one tensor after another in memory.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`] names a moment that is not finite; [`CheckpointError::Output`] if
    /// `out` cannot be written.
    pub fn write_optimizer_state(&self, out: &mut dyn Write) -> Result<(), CheckpointError> {
        self.updater.write_optimizer_state(out)
    }

    /// Steps taken, those before a resume included.
    pub fn n_steps(&self) -> usize {
        self.updater.step()
    }

    /// The student as it is now.
    pub fn student(&self) -> Student {
        Student::trained(self.updater.model().clone(), &self.plan)
    }

    /// One optimizer step over the gradients of some micro-batches.
    ///
    /// Reads back from the device once, at the end, whatever the number of micro-batches.
    ///
    /// # Errors
    /// [`TeacherError`] when a layer of a streamed teacher cannot be read; the student is unchanged.
    pub async fn step(&mut self, batches: &[Batch]) -> Result<StepReport, TeacherError> {
        let mut gradients = self.updater.gradients();
        let mut pending = Vec::with_capacity(batches.len());
        let (student, weights, levers) = (self.updater.model(), &self.weights, &self.levers);
        for together in batches.chunks(levers.micro_batches_per_pass.max(1)) {
            let tensors = self.to_device(together);
            let mut imitated = self.imitated(&tensors)?.into_iter();
            for (batch, tensors) in together.iter().zip(&tensors) {
                let (imitated, batch) = (imitated.next(), (batch, tensors));
                let imitated = imitated.as_ref();
                pending.push(backward(student, imitated, batch, weights, levers, &mut gradients));
            }
        }
        Ok(self.updater.finish(gradients, pending, batches).await)
    }

    /// The loss of the student as it is now, without a step.
    ///
    /// # Errors
    /// As [`Distiller::step`].
    pub async fn measure(&self, batch: &Batch) -> Result<LossTerms, TeacherError> {
        let tensors = self.to_device(std::slice::from_ref(batch));
        let imitated = self.imitated(&tensors)?.pop();
        let (student, batch) = (self.updater.model(), (batch, &tensors[0]));
        let terms = forward(student, imitated.as_ref(), batch, &self.weights, &self.levers);
        Ok(pending::read_alone(&terms).await)
    }

    fn to_device(&self, batches: &[Batch]) -> Vec<BatchTensors> {
        let device = self.device();
        batches.iter().map(|batch| batch.to_device(&device)).collect()
    }

    /// What each micro-batch imitates; nothing where no loss term reads the teacher.
    fn imitated(&self, batches: &[BatchTensors]) -> Result<Vec<Imitated<'_>>, TeacherError> {
        if self.weights.kl == 0.0 && self.weights.alignment == 0.0 {
            return Ok(Vec::new());
        }
        let pairs = self.alignment.as_slice();
        let aligned: Vec<usize> = match self.weights.alignment == 0.0 {
            true => Vec::new(),
            false => pairs.iter().map(|&(_, teacher)| teacher).collect(),
        };
        let states = self.teacher.states(batches, &aligned, &self.levers)?;
        let head = self.teacher.ends();
        Ok(states.into_iter().map(|states| Imitated { head, states, pairs }).collect())
    }

    pub fn device(&self) -> Device {
        self.updater.model().device()
    }
}
