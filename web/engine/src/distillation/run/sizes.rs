//! The loss of every size between a student and its teacher.

use boomerang_core::bundle::Manifest;
use boomerang_core::corpus::distill_recipe;
use boomerang_core::distill::{Batch, Distiller};
use boomerang_core::plan::{Patch, PatchOrder};
use boomerang_core::prune::Student;

use super::{DistillRun, DistillRunError};
use crate::distillation::messages::SizeLoss;

/// Measures one size after another, the student first, on the held-out sequences of a run.
pub struct SizeMeter {
    /// It takes no step.
    distiller: Distiller,
    path: std::vec::IntoIter<Patch>,
    held_out: Batch,
    is_bundle: bool,
}

impl DistillRun {
    /// The sizes of the student as it is now, in the order that it would have on the dial.
    ///
    /// # Errors
    /// [`DistillRunError::Plan`].
    pub fn sizes(&self, bundle: &Manifest) -> Result<SizeMeter, DistillRunError> {
        self.meter(self.student(), &bundle.order_of_another_student(), false)
    }

    /// The sizes of the bundle's own family, in its order, on the same sequences.
    ///
    /// # Errors
    /// [`DistillRunError::Plan`].
    pub fn sizes_of_bundle(
        &self,
        bundle: &Manifest,
        student: Student,
    ) -> Result<SizeMeter, DistillRunError> {
        self.meter(student, &bundle.order, true)
    }

    fn meter(
        &self,
        student: Student,
        order: &PatchOrder,
        is_bundle: bool,
    ) -> Result<SizeMeter, DistillRunError> {
        let path = order.path(student.plan())?.into_iter();
        let loss = self.settings.loss;
        let unused = distill_recipe::settings(loss, self.settings.learning_rate, 1);
        let distiller = Distiller::new(self.teacher.clone(), student, unused, 0);
        Ok(SizeMeter { distiller, path, held_out: self.held_out.clone(), is_bundle })
    }
}

impl SizeMeter {
    /// The next size; `None` after the teacher. The loss is NaN where the student has diverged.
    pub async fn next(&mut self) -> Option<SizeLoss> {
        let patch = self.path.next()?;
        let held_out = std::slice::from_ref(&self.held_out);
        let nats = self.distiller.member_loss(&patch, held_out).await.unwrap_or(f64::NAN);
        let plan = self.distiller.student().plan().clone();
        let n_layers = plan.recipe(&patch).layers.len();
        Some(SizeLoss { is_bundle: self.is_bundle, n_layers, nats })
    }
}
