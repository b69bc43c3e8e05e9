//! Passes of a run over micro-batches: what they imitate, which model they train, and their gradients.

use super::batch::{Batch, BatchTensors};
use super::distiller::Distiller;
use super::loss::LossWeights;
use super::micro_batch::{Imitated, backward, backward_by_block};
use super::part::Part;
use super::patched::Member;
use super::pending::PendingTerms;
use super::teacher::TeacherError;
use crate::model::LanguageModel;
use crate::model::backward::Gradients;
use crate::plan::Alignment;

/// What a pass over micro-batches computes.
#[derive(Clone, Copy)]
pub(super) struct Objective<'a> {
    weights: &'a LossWeights,
    /// The states to align: student's, teacher's.
    pairs: &'a Alignment,
    /// What each micro-batch trains, with pairs of its own; empty: the student as it is.
    members: &'a [Member],
}

impl Distiller {
    /// Adds up the gradients of this replica's micro-batches, of those of a step.
    pub(super) fn gradients(
        &self,
        batches: &[Batch],
        gradients: &mut Gradients,
    ) -> Result<Vec<PendingTerms>, TeacherError> {
        let (weights, levers) = (&self.weights, &self.levers);
        let scale = self.updater.loss_scale();
        // They share the student's weights, and are gone before these change in place.
        let members = self.members(batches.len(), gradients);
        let objective = Objective { members: &members, ..self.objective() };
        let share = self.updater.share(batches);
        let pending = self.pass(&share, &objective, |model, imitated, part| {
            backward(model, imitated, part, weights, scale, levers, gradients)
        })?;
        if !members.is_empty() {
            // A replaced layer has a gradient of 0, not none: its moments decay.
            let reads_logits = weights.cross_entropy != 0.0 || weights.kl != 0.0;
            self.updater.model().fill_gradients(reads_logits, gradients);
        }
        Ok(pending)
    }

    /// As [`Distiller::gradients`], of each layer trained individually.
    pub(super) fn gradients_by_block(
        &self,
        batches: &[Batch],
        gradients: &mut Gradients,
    ) -> Result<Vec<PendingTerms>, TeacherError> {
        let (weights, levers) = (LossWeights::ALIGNMENT, &self.levers);
        let scale = self.updater.loss_scale();
        let pairs = self.plan.alignment();
        let objective = Objective { weights: &weights, pairs: &pairs, members: &[] };
        let share = self.updater.share(batches);
        self.pass(&share, &objective, |student, imitated, part| {
            let imitated = imitated.expect("a loss that reads the teacher's states");
            backward_by_block(student, imitated, part, &weights, scale, levers, gradients)
        })
    }

    /// What each micro-batch of this replica trains, of `n_batches` of the step; none where it is the
    /// student as it is. `gradients` leaves teacher layers out.
    fn members(&self, n_batches: usize, gradients: &mut Gradients) -> Vec<Member> {
        let Some(patching) = &self.patching else { return Vec::new() };
        gradients.freeze(&patching.frozen);
        let student = (self.updater.model(), &self.plan);
        let numbers = self.updater.numbers(n_batches);
        patching.members(student, &self.alignment, self.updater.step(), numbers)
    }

    /// All terms of the loss, for the student as it is.
    pub(super) fn objective(&self) -> Objective<'_> {
        Objective { weights: &self.weights, pairs: &self.alignment, members: &[] }
    }

    /// The terms of each micro-batch, from what `terms` gives for its parts with the model that the
    /// micro-batch trains: its member, or the student where there are no members.
    pub(super) fn pass(
        &self,
        batches: &[Batch],
        objective: &Objective<'_>,
        mut terms: impl FnMut(
            &LanguageModel,
            Option<&Imitated<'_>>,
            (&Part, &BatchTensors),
        ) -> PendingTerms,
    ) -> Result<Vec<PendingTerms>, TeacherError> {
        let parts = Part::all(batches, objective.weights, self.levers.sequences_per_part);
        let mut pending = Vec::new();
        for together in parts.chunks(self.levers.parts_per_pass.max(1)) {
            let tensors = self.to_device(together);
            let mut imitated = self.imitated(&tensors, objective)?.into_iter();
            for (part, tensors) in together.iter().zip(&tensors) {
                let mut imitated = imitated.next();
                let member = objective.members.get(part.micro_batch);
                if let (Some(member), Some(imitated)) = (member, &mut imitated) {
                    imitated.pairs = &member.pairs;
                }
                let model = member.map_or(self.updater.model(), |member| &member.model);
                let terms = terms(model, imitated.as_ref(), (part, tensors));
                pending.push((part.micro_batch, terms));
            }
        }
        Ok(PendingTerms::of_micro_batches(pending))
    }

    fn to_device(&self, parts: &[Part]) -> Vec<BatchTensors> {
        let device = self.device();
        parts.iter().map(|part| part.batch.to_device(&device)).collect()
    }

    /// What each part imitates; nothing where no loss term reads the teacher.
    fn imitated<'a>(
        &'a self,
        parts: &[BatchTensors],
        objective: &Objective<'a>,
    ) -> Result<Vec<Imitated<'a>>, TeacherError> {
        let Objective { weights, pairs, .. } = *objective;
        if weights.kl == 0.0 && weights.alignment == 0.0 {
            return Ok(Vec::new());
        }
        let aligned: Vec<usize> = match weights.alignment == 0.0 {
            true => Vec::new(),
            false => pairs.iter().map(|&(_, teacher)| teacher).collect(),
        };
        let states = self.teacher.states(parts, &aligned, &self.levers)?;
        let head = self.teacher.ends();
        Ok(states.into_iter().map(|states| Imitated { head, states, pairs }).collect())
    }
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use futures_lite::future::block_on;

    use super::super::{Layout, Row, Schedule, UpdateSettings, testing};
    use super::*;
    use crate::model::DecoderLayer;
    use crate::model::parameters::for_each;
    use crate::plan::LayerPlan;
    use crate::prune::Student;

    /// A student whose first layer is the teacher layer of this number.
    fn distiller(first: usize) -> Distiller {
        let teacher = testing::teacher(&testing::qwen3(false));
        let mut student = teacher.prune(&LayerPlan::keep(&[0, 2], 4).unwrap()).unwrap();
        if first != 0 {
            let layers = teacher.model().layers();
            let model = student.model().with_layers(vec![layers[first].clone(), layers[2].clone()]);
            student = Student::new(model, student.plan().clone()).unwrap();
        }
        // Clipping is by the norm of all gradients together.
        let update =
            UpdateSettings { clip: 1e9, ..UpdateSettings::new(Schedule::cosine(1e-2, 30)) };
        let settings = testing::settings(update);
        Distiller::new(teacher, student, settings, 0)
    }

    fn step(distiller: &mut Distiller) -> f64 {
        let batch = Batch::new(vec![Row::new((1..9).collect(), vec![1; 8])], Layout::Packed);
        block_on(distiller.step_by_block(&[batch])).unwrap().terms.total
    }

    fn values(layer: &DecoderLayer) -> Vec<f32> {
        let mut values = Vec::new();
        for_each(layer, |_, tensor| values.extend(tensor.to_data().iter::<f32>()));
        values
    }

    #[test]
    fn a_layer_trained_by_block_does_not_depend_on_the_one_below() {
        let last = [0, 3].map(|first| {
            let mut distiller = distiller(first);
            let before = values(&distiller.student().model().layers()[1]);
            for _ in 0..3 {
                step(&mut distiller);
            }
            let after = values(&distiller.student().model().layers()[1]);
            assert!(before != after);
            after
        });
        assert!(last[0] == last[1]);
    }

    #[test]
    fn steps_by_block_bring_each_layer_nearer_to_its_block() {
        let mut distiller = distiller(0);
        let losses: Vec<f64> = (0..30).map(|_| step(&mut distiller)).collect();
        assert!(losses[29] < 0.5 * losses[0], "{losses:?}");
    }

    #[test]
    fn steps_by_block_leave_embedding_and_head() {
        let mut distiller = distiller(0);
        let ends = |distiller: &Distiller| {
            let mut values = Vec::new();
            for_each(&distiller.student().model().without_layers(), |parameter, tensor| {
                if !parameter.path.starts_with("norm.") {
                    values.extend(tensor.to_data().iter::<f32>());
                }
            });
            values
        };
        let before = ends(&distiller);
        for _ in 0..3 {
            step(&mut distiller);
        }
        assert!(before == ends(&distiller) && !before.is_empty());
    }
}
