//! Students on disk: models with the plan that made them.

use anyhow::Context;
use boomerang_core::checkpoint::files::STUDENT_CONFIG;
use boomerang_core::plan::LayerPlan;
use boomerang_core::prune::{FamilyError, Student, StudentConfig};
use burn::tensor::Device;

use super::{ModelFolder, read_if_present};
use crate::exit::Exit;

impl ModelFolder {
    /// The model with the plan that made it.
    ///
    /// # Errors
    /// As [`ModelFolder::model`], and when `student_config.json` is missing or does not match the layers.
    pub fn student(&self, device: &Device) -> anyhow::Result<Student> {
        let plan = self.required_plan()?;
        Student::new(self.model(device)?, plan).with_context(|| self.path().display().to_string())
    }

    /// The plan that made this student.
    ///
    /// # Errors
    /// As [`ModelFolder::plan`], and when there is none.
    pub fn required_plan(&self) -> anyhow::Result<LayerPlan> {
        let plan = self.plan()?.ok_or_else(|| {
            Exit::Unusable.error(format!(
                "{STUDENT_CONFIG} is missing in {}, so the teacher layers that its {} layers were made \
                 from are unknown; expected a folder that `boomerang prune` or `boomerang distill` \
                 wrote, or --kept with these layers",
                self.path().display(),
                self.config().n_layers()
            ))
        })?;
        let (found, expected) = (self.config().n_layers(), plan.n_student_layers());
        if found != expected {
            return Err(FamilyError::StudentLayers { found, expected })
                .with_context(|| self.path().display().to_string());
        }
        Ok(plan)
    }

    /// The plan that made this student; `None` for a model without one, such as a recipe.
    ///
    /// # Errors
    /// When `student_config.json` exists and is not a plan.
    pub fn plan(&self) -> anyhow::Result<Option<LayerPlan>> {
        if self.is_recipe() {
            return Ok(None);
        }
        let path = self.extras().join(STUDENT_CONFIG);
        let Some(bytes) = read_if_present(&path)? else { return Ok(None) };
        let plan = StudentConfig::plan_from_json(&String::from_utf8_lossy(&bytes));
        Ok(Some(plan.with_context(|| path.display().to_string())?))
    }
}
