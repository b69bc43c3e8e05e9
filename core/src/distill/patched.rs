//! Members of the family that are trained instead of the student, with teacher layers in them.

use std::collections::HashSet;

use burn::module::ParamId;

use super::stochastic::StochasticPatching;
use super::teacher::{TeacherError, TeacherSource};
use crate::model::LanguageModel;
use crate::model::ids::with_ids_below;
use crate::model::parameters::for_each;
use crate::plan::{Alignment, LayerPlan, Patch};
use crate::prune::{Family, Student, Teacher};

/// The teacher layers that replace blocks of a student while it is trained.
pub(super) struct Patching {
    settings: StochasticPatching,
    /// Shares its weights with the teacher of the run; its ids are in no student.
    teacher: Teacher,
    /// All parameters of that teacher.
    pub(super) frozen: HashSet<ParamId>,
}

/// What a micro-batch trains.
pub(super) struct Member {
    /// Shares its weights with teacher and student.
    pub(super) model: LanguageModel,
    /// The states to align: the member's, the teacher's.
    pub(super) pairs: Alignment,
}

impl Patching {
    /// # Errors
    /// [`TeacherError::Streamed`]: gradients flow through teacher layers, which have to be in memory.
    pub(super) fn new(
        settings: StochasticPatching,
        teacher: &TeacherSource,
    ) -> Result<Self, TeacherError> {
        let teacher = teacher.resident().ok_or(TeacherError::Streamed)?;
        let model = with_ids_below("teacher", teacher.model().clone());
        let mut frozen = HashSet::new();
        for_each(&model, |_, tensor| {
            frozen.insert(tensor.id());
        });
        Ok(Self { settings, teacher: Teacher::new(model), frozen })
    }

    /// What these micro-batches of a step train; `alignment` is that of the student.
    ///
    /// Every aligned state of the student is aligned in its member, too: where a block is replaced, the
    /// output of its teacher layers, which depends on the student layers below.
    pub(super) fn members(
        &self,
        (student, plan): (&LanguageModel, &LayerPlan),
        alignment: &Alignment,
        step: usize,
        micro_batches: impl Iterator<Item = usize>,
    ) -> Vec<Member> {
        let member = |micro_batch| {
            let patch = self.settings.patch(plan, step, micro_batch);
            let student = Student::trained(student.clone(), plan);
            let family = Family::new(self.teacher.clone(), student);
            let model = family.expect("student and teacher of a run").member(&patch);
            Member { model, pairs: pairs(alignment, plan, &patch) }
        };
        micro_batches.map(member).collect()
    }
}

/// The pairs of a student, with the numbers that its states have in a member.
pub(super) fn pairs(alignment: &Alignment, plan: &LayerPlan, patch: &Patch) -> Alignment {
    let states = plan.states_of(patch);
    alignment.iter().map(|&(own, of_teacher)| (states[own], of_teacher)).collect()
}
