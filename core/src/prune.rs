//! Teacher, student, and the family of sizes between them.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::ModelConfig;
use crate::model::{DecoderLayer, LanguageModel};
use crate::plan::{LayerPlan, LayerSource, PlanError};

/// The full pretrained model. The student imitates it and copies its layers; it is never modified.
#[derive(Clone, Debug)]
pub struct Teacher {
    model: LanguageModel,
}

/// A pruned model together with the plan that made it; the same type before and after distillation.
///
/// Invariant: the model has as many layers as the plan keeps.
#[derive(Clone, Debug)]
pub struct Student {
    model: LanguageModel,
    plan: LayerPlan,
}

/// A teacher and a student that were checked to belong together, and every size between them.
#[derive(Clone, Debug)]
pub struct Family {
    teacher: Teacher,
    student: Student,
}

/// Why a teacher and a student do not form a family.
#[derive(Debug, Error)]
pub enum FamilyError {
    #[error("the student has {found} layers, but its plan keeps {expected} teacher layers")]
    StudentLayers { found: usize, expected: usize },
    #[error("the plan is for a teacher with {expected} layers; this teacher has {found}")]
    TeacherLayers { found: usize, expected: usize },
    #[error("teacher and student are incompatible: {difference}")]
    Shape { difference: String },
}

impl Teacher {
    pub fn new(model: LanguageModel) -> Self {
        Self { model }
    }

    pub fn model(&self) -> &LanguageModel {
        &self.model
    }

    /// The student that keeps the plan's layers, before distillation. Copies no weights.
    ///
    /// # Errors
    /// [`FamilyError::TeacherLayers`] if the plan is for another number of layers.
    pub fn prune(&self, plan: &LayerPlan) -> Result<Student, FamilyError> {
        let (found, expected) = (self.model.n_layers(), plan.n_teacher_layers());
        if found != expected {
            return Err(FamilyError::TeacherLayers { found, expected });
        }
        let layers = plan.kept().into_iter().map(|layer| self.model.layers()[layer].clone());
        let model = self.model.with_layers(layers.collect());
        Ok(Student { model, plan: plan.clone() })
    }
}

impl Student {
    /// # Errors
    /// [`FamilyError::StudentLayers`] if model and plan disagree.
    pub fn new(model: LanguageModel, plan: LayerPlan) -> Result<Self, FamilyError> {
        let (found, expected) = (model.n_layers(), plan.n_student_layers());
        if found != expected {
            return Err(FamilyError::StudentLayers { found, expected });
        }
        Ok(Self { model, plan })
    }

    /// The student of a teacher that is not in memory: its embedding, final norm and head (`ends`), and
    /// the layers that the plan keeps.
    ///
    /// # Errors
    /// As [`Student::new`].
    pub fn of_parts(
        ends: &LanguageModel,
        layers: Vec<DecoderLayer>,
        plan: LayerPlan,
    ) -> Result<Self, FamilyError> {
        Self::new(ends.with_layers(layers), plan)
    }

    /// A student of this plan, with the weights that training gave it.
    #[cfg(feature = "distill")]
    pub(crate) fn trained(model: LanguageModel, plan: &LayerPlan) -> Self {
        Self { model, plan: plan.clone() }
    }

    /// Gives up the plan.
    #[cfg(feature = "distill")]
    pub(crate) fn into_model(self) -> LanguageModel {
        self.model
    }

    pub fn model(&self) -> &LanguageModel {
        &self.model
    }

    pub fn plan(&self) -> &LayerPlan {
        &self.plan
    }
}

impl Family {
    /// # Errors
    /// [`FamilyError`] names the value that differs.
    pub fn new(teacher: Teacher, student: Student) -> Result<Self, FamilyError> {
        Self::check(teacher.model.config(), student.model.config(), &student.plan)?;
        Ok(Self { teacher, student })
    }

    /// Checks whether models with these configs form a family, without their weights.
    ///
    /// # Errors
    /// [`FamilyError`] names the value that differs.
    pub fn check(
        teacher: &ModelConfig,
        student: &ModelConfig,
        plan: &LayerPlan,
    ) -> Result<(), FamilyError> {
        let (found, expected) = (teacher.n_layers(), plan.n_teacher_layers());
        if found != expected {
            return Err(FamilyError::TeacherLayers { found, expected });
        }
        let (found, expected) = (student.n_layers(), plan.n_student_layers());
        if found != expected {
            return Err(FamilyError::StudentLayers { found, expected });
        }
        match teacher.difference(student) {
            Some(difference) => Err(FamilyError::Shape { difference }),
            None => Ok(()),
        }
    }

    pub fn teacher(&self) -> &Teacher {
        &self.teacher
    }

    pub fn student(&self) -> &Student {
        &self.student
    }

    pub fn plan(&self) -> &LayerPlan {
        &self.student.plan
    }

    /// The layer at this source.
    pub(crate) fn layer(&self, source: LayerSource) -> &DecoderLayer {
        match source {
            LayerSource::Student(layer) => &self.student.model.layers()[layer],
            LayerSource::Teacher(layer) => &self.teacher.model.layers()[layer],
        }
    }
}

/// `student_config.json` in the reference implementation's format, which has exactly two keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudentConfig {
    pub pruned_teacher_layers: Vec<usize>,
    pub copied_teacher_layers: Vec<usize>,
}

/// Why a `student_config.json` is not a plan.
#[derive(Debug, Error)]
pub enum StudentConfigError {
    #[error("expected the keys pruned_teacher_layers and copied_teacher_layers: {0}")]
    Json(#[from] serde_json::Error),
    #[error(
        "the two lists hold {n_listed} layers; expected each layer from 0 to {last} exactly once"
    )]
    NotAPartition { n_listed: usize, last: usize },
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl StudentConfig {
    pub fn of(plan: &LayerPlan) -> Self {
        Self { pruned_teacher_layers: plan.dropped(), copied_teacher_layers: plan.kept() }
    }

    pub fn to_json(&self) -> String {
        let lists = serde_json::json!({
            "pruned_teacher_layers": self.pruned_teacher_layers,
            "copied_teacher_layers": self.copied_teacher_layers,
        });
        format!("{lists}\n")
    }

    /// # Errors
    /// [`StudentConfigError`] unless the two lists partition the layers of a teacher.
    pub fn plan_from_json(text: &str) -> Result<LayerPlan, StudentConfigError> {
        let config: Self = serde_json::from_str(text)?;
        let mut all = [config.pruned_teacher_layers, config.copied_teacher_layers.clone()].concat();
        all.sort_unstable();
        if !all.iter().copied().eq(0..all.len()) {
            let last = all.last().copied().unwrap_or(0);
            return Err(StudentConfigError::NotAPartition { n_listed: all.len(), last });
        }
        Ok(LayerPlan::keep(&config.copied_teacher_layers, all.len())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_the_reference_format() {
        let plan = LayerPlan::keep(&[0, 2, 4, 5], 6).unwrap();
        let json = StudentConfig::of(&plan).to_json();
        assert_eq!(json, "{\"copied_teacher_layers\":[0,2,4,5],\"pruned_teacher_layers\":[1,3]}\n");
        assert_eq!(StudentConfig::plan_from_json(&json).unwrap(), plan);
    }

    #[test]
    fn lists_that_overlap_are_refused() {
        let json = r#"{"pruned_teacher_layers": [1, 2], "copied_teacher_layers": [0, 2]}"#;
        assert!(matches!(
            StudentConfig::plan_from_json(json),
            Err(StudentConfigError::NotAPartition { n_listed: 4, last: 2 })
        ));
    }
}
