//! A student in training: one step against its frozen teacher.

use std::io::Write;

use burn::tensor::Device;
use thiserror::Error;

use super::batch::Batch;
use super::levers::{Levers, MixedPrecision};
use super::loss::{LossTerms, LossWeights};
use super::micro_batch::forward;
use super::moments::OptimizerStateError;
use super::part::Part;
use super::patched::Patching;
use super::peers::{PeerError, Peers};
use super::pending::{self, PendingTerms};
use super::report::StepReport;
use super::settings::{DistillSettings, Reduction};
use super::stochastic::StochasticPatching;
use super::teacher::{TeacherError, TeacherSource};
use super::update::Updater;
use crate::checkpoint::CheckpointError;
use crate::model::backward::Gradients;
use crate::plan::{Alignment, LayerPlan, Patch};
use crate::prune::{Family, Student};

/// Why a step was not taken.
#[derive(Debug, Error)]
pub enum StepError {
    #[error(transparent)]
    Teacher(#[from] TeacherError),
    #[error(transparent)]
    Peer(#[from] PeerError),
}

/// A student in training and the teacher it imitates.
pub struct Distiller {
    pub(super) teacher: TeacherSource,
    pub(super) plan: LayerPlan,
    pub(super) updater: Updater,
    pub(super) weights: LossWeights,
    pub(super) alignment: Alignment,
    pub(super) levers: Levers,
    /// `None`: every micro-batch trains the student as it is.
    pub(super) patching: Option<Patching>,
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
        Self { teacher, plan, updater, weights, alignment, levers, patching: None }
    }

    /// With other levers; the result is the same. Call it before an optimizer state is restored.
    #[must_use]
    pub fn with_levers(mut self, levers: Levers) -> Self {
        if levers.mixed_precision == MixedPrecision::F16 {
            self.updater = self.updater.with_loss_scale();
        }
        Self { levers, ..self }
    }

    /// Trains members with teacher layers in them, sampled for every micro-batch; measured losses are those
    /// of the student as it is. With a probability of 0 nothing changes.
    ///
    /// # Errors
    /// [`TeacherError::Streamed`] where the teacher is not in memory.
    pub fn with_patching(mut self, settings: StochasticPatching) -> Result<Self, TeacherError> {
        self.patching = match settings.probability > 0.0 {
            true => Some(Patching::new(settings, &self.teacher)?),
            false => None,
        };
        Ok(self)
    }

    /// Takes every step together with other replicas. All are given all micro-batches of a step, at
    /// least as many as there are replicas, and each takes its share.
    #[must_use]
    pub fn with_peers(mut self, peers: Box<dyn Peers>) -> Self {
        self.updater = self.updater.with_peers(peers);
        self
    }

    /// Leaves the other replicas, which then cannot go on.
    #[must_use]
    pub fn without_peers(mut self) -> Self {
        self.updater.leave_peers();
        self
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

    /// Goes back to the student and optimizer state of an earlier `step`, among the same replicas; from
    /// there on learning rates are multiplied by `rate`.
    ///
    /// # Errors
    /// [`OptimizerStateError`] for bytes that are no optimizer state; then no step can be taken.
    pub fn rewind(
        &mut self,
        student: Student,
        step: usize,
        optimizer: &[u8],
        rate: f64,
    ) -> Result<(), OptimizerStateError> {
        self.updater.rewind(student.into_model(), step, optimizer, rate)
    }

    /// Writes the optimizer state as safetensors, to resume from, one tensor after another in memory.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`] names a moment that is not finite; [`CheckpointError::Output`] if
    /// `out` cannot be written.
    pub fn write_optimizer_state(&self, out: &mut dyn Write) -> Result<(), CheckpointError> {
        self.updater.write_optimizer_state(out)
    }

    /// The optimizer state as safetensors bytes, by way of `host` and without blocking: a program in a
    /// browser cannot wait for WebGPU.
    ///
    /// # Errors
    /// As [`Distiller::write_optimizer_state`]; [`CheckpointError::Transfer`] when a device is lost.
    pub async fn optimizer_state_by(&self, host: &Device) -> Result<Vec<u8>, CheckpointError> {
        self.updater.optimizer_state_by(host).await
    }

    /// The student as it is now, on `host`, read back without blocking.
    ///
    /// # Errors
    /// [`CheckpointError::Transfer`] when a device is lost.
    pub async fn student_on(&self, host: &Device) -> Result<Student, CheckpointError> {
        Ok(Student::trained(self.updater.model().on_device(host).await?, &self.plan))
    }

    /// Steps taken, those before a resume included.
    pub fn n_steps(&self) -> usize {
        self.updater.step()
    }

    /// How much each term of the loss counts.
    pub fn loss_weights(&self) -> &LossWeights {
        &self.weights
    }

    /// The student as it is now.
    pub fn student(&self) -> Student {
        Student::trained(self.updater.model().clone(), &self.plan)
    }

    /// Whether all replicas go on; each says whether it wants to.
    ///
    /// # Errors
    /// [`StepError::Peer`] when another replica has stopped.
    pub fn agree(&mut self, goes_on: bool) -> Result<bool, StepError> {
        Ok(self.updater.agree(goes_on)?)
    }

    /// One optimizer step over the gradients of some micro-batches.
    ///
    /// Reads back from the device once, whatever the number of micro-batches. Where the gradient is not
    /// finite in f16, the step is recomputed with a smaller loss scale.
    ///
    /// # Errors
    /// [`StepError`] when a layer of a streamed teacher cannot be read, and the student is unchanged, or
    /// when another replica has stopped.
    pub async fn step(&mut self, batches: &[Batch]) -> Result<StepReport, StepError> {
        self.step_if(batches, |_| true).await
    }

    /// As [`Distiller::step`], but the weights stay as they are unless the caller accepts the losses; the
    /// step counts all the same.
    ///
    /// # Errors
    /// As [`Distiller::step`].
    pub async fn step_if(
        &mut self,
        batches: &[Batch],
        mut accepts: impl FnMut(&StepReport) -> bool,
    ) -> Result<StepReport, StepError> {
        self.take(batches, &mut accepts, Self::gradients).await
    }

    /// As [`Distiller::step`], but every layer is trained individually: to map the teacher's state before
    /// its block to the teacher's state after it, by their cosine distance alone. No error accumulates
    /// over layers; embedding and head keep their weights. Block-wise distillation, as in Puzzle
    /// (arXiv:2411.19146).
    ///
    /// # Errors
    /// As [`Distiller::step`].
    pub async fn step_by_block(&mut self, batches: &[Batch]) -> Result<StepReport, StepError> {
        self.take(batches, &mut |_| true, Self::gradients_by_block).await
    }

    /// A step by the gradients that `backward` adds up over this replica's micro-batches.
    async fn take(
        &mut self,
        batches: &[Batch],
        accepts: &mut dyn FnMut(&StepReport) -> bool,
        backward: impl Fn(&Self, &[Batch], &mut Gradients) -> Result<Vec<PendingTerms>, TeacherError>,
    ) -> Result<StepReport, StepError> {
        loop {
            let mut gradients = self.updater.gradients();
            let pending = backward(self, batches, &mut gradients)?;
            if let Some(report) = self.updater.finish(gradients, pending, batches, accepts).await? {
                return Ok(report);
            }
            // In f16 the gradient overflowed; the loss scale is smaller now.
        }
    }

    /// The loss of the student as it is now, without a step.
    ///
    /// # Errors
    /// [`TeacherError`] as for [`Distiller::step`].
    pub async fn measure(&self, batch: &Batch) -> Result<LossTerms, TeacherError> {
        let (weights, levers) = (&self.weights, &self.levers);
        let batch = std::slice::from_ref(batch);
        let pending = self.pass(batch, &self.objective(), |student, imitated, part| {
            forward(student, imitated, part, weights, levers)
        })?;
        Ok(pending::read_alone(&pending[0]).await)
    }

    /// The mean of the losses of some batches, without a step.
    ///
    /// # Errors
    /// [`TeacherError`] as for [`Distiller::step`].
    pub async fn measure_all(&self, batches: &[Batch]) -> Result<LossTerms, TeacherError> {
        let mut terms = Vec::with_capacity(batches.len());
        for batch in batches {
            terms.push(self.measure(batch).await?);
        }
        Ok(pending::reduce(&terms, Reduction::Mean))
    }

    /// The cross-entropy in nats/token of a member of the family as it is now, the mean over the batches
    /// that have labels; `None` for a streamed teacher. Copies no weights.
    pub async fn member_loss(&self, patch: &Patch, batches: &[Batch]) -> Option<f64> {
        let family = Family::new(self.teacher.resident()?, self.student()).ok()?;
        let member = family.member(patch);
        let weights = LossWeights { cross_entropy: 1.0, kl: 0.0, alignment: 0.0, ..self.weights };
        let (mut sum, mut n_measured) = (0.0, 0);
        for batch in batches.iter().filter(|batch| batch.n_labels() > 0) {
            let parts =
                Part::all(std::slice::from_ref(batch), &weights, self.levers.sequences_per_part);
            let pending = parts.iter().map(|part| {
                let tensors = part.batch.to_device(&self.device());
                (0, forward(&member, None, (part, &tensors), &weights, &self.levers))
            });
            let pending = PendingTerms::of_micro_batches(pending.collect());
            sum += pending::read_alone(pending.first()?).await.total;
            n_measured += 1;
        }
        Some(sum / f64::from(n_measured))
    }

    pub fn device(&self) -> Device {
        self.updater.model().device()
    }
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use futures_lite::future::block_on;

    use super::super::{Layout, Row, Schedule, UpdateSettings, testing};
    use super::*;
    use crate::model::parameters::for_each;
    use crate::plan::LayerPlan;

    fn distiller() -> Distiller {
        let teacher = testing::teacher(&testing::qwen3(false));
        let student = teacher.prune(&LayerPlan::keep(&[0, 3], 4).unwrap()).unwrap();
        let settings = testing::settings(UpdateSettings::new(Schedule::cosine(1e-2, 8)));
        Distiller::new(teacher, student, settings, 0)
    }

    fn batch(number: u32) -> Batch {
        Batch::new(vec![Row::new((number..number + 8).collect(), vec![1; 8])], Layout::Packed)
    }

    fn steps(distiller: &mut Distiller, numbers: [u32; 2]) -> Vec<StepReport> {
        let step = |number| block_on(distiller.step(&[batch(number)])).unwrap();
        numbers.into_iter().map(step).collect()
    }

    #[test]
    fn a_rewound_student_takes_the_steps_that_followed() {
        let mut distiller = distiller();
        steps(&mut distiller, [1, 2]);
        let mut optimizer = Vec::new();
        distiller.write_optimizer_state(&mut optimizer).unwrap();
        let student = distiller.student();
        let expected = steps(&mut distiller, [3, 4]);
        distiller.rewind(student.clone(), 2, &optimizer, 1.0).unwrap();
        assert_eq!(steps(&mut distiller, [3, 4]), expected);
        distiller.rewind(student, 2, &optimizer, 0.5).unwrap();
        let rates = steps(&mut distiller, [3, 4]).into_iter().map(|report| report.learning_rate);
        let halves = expected.into_iter().map(|report| report.learning_rate / 2.0);
        assert_eq!(rates.collect::<Vec<_>>(), halves.collect::<Vec<_>>());
    }

    #[test]
    fn a_replaced_layer_has_a_gradient_of_0() {
        let weights = |distiller: &Distiller| {
            let mut values = Vec::new();
            for_each(&distiller.student().model().layers()[0], |_, tensor| {
                values.extend(tensor.to_data().iter::<f32>());
            });
            values
        };
        // Its first draws keep layer 1 only, then layer 0.
        let patching = |seed| StochasticPatching { probability: 0.5, seed };
        let plan = distiller().plan;
        let draws = |seed, step| patching(seed).patch(&plan, step, 0).layers();
        let seed = (0..99).find(|&seed| draws(seed, 0) == [1] && draws(seed, 1) == [0]).unwrap();
        let mut distiller = distiller().with_patching(patching(seed)).unwrap();
        block_on(distiller.step(&[batch(1)])).unwrap();
        let before = weights(&distiller);
        block_on(distiller.step(&[batch(2)])).unwrap();
        // Without a gradient the layer would stay; its moments move it.
        assert!(before != weights(&distiller));
    }

    #[test]
    fn patching_a_streamed_teacher_is_refused() {
        let teacher = testing::teacher(&testing::qwen3(false));
        let student = teacher.prune(&LayerPlan::keep(&[0, 3], 4).unwrap()).unwrap();
        let settings = testing::settings(UpdateSettings::new(Schedule::cosine(1e-2, 8)));
        let model = teacher.model();
        let source =
            TeacherSource::streamed(model.without_layers(), model.config().clone(), |_| {
                Err("unread".into())
            });
        let patching = StochasticPatching { probability: 0.5, seed: 0 };
        let error = Distiller::new(source, student, settings, 0).with_patching(patching).err();
        assert!(matches!(error, Some(TeacherError::Streamed)));
    }

    #[test]
    fn the_member_with_no_patched_layer_has_the_loss_of_the_student() {
        let distiller = distiller();
        let batches = [batch(1), batch(9)];
        let terms = block_on(distiller.measure_all(&batches)).unwrap();
        let loss = block_on(distiller.member_loss(&Patch::none(&distiller.plan), &batches));
        let (loss, expected) = (loss.unwrap(), terms.cross_entropy.unwrap());
        assert!((loss - expected).abs() < 1e-6, "{loss} instead of {expected}");
    }
}
