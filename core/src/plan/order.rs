//! Patches, and patch orders.

use serde::{Deserialize, Serialize};

use super::{LayerPlan, PlanError};

/// The set of student layers that are replaced by their teacher blocks.
///
/// Invariant: one flag per student layer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Patch {
    patched: Vec<bool>,
}

impl Patch {
    /// No layer: the student.
    pub fn none(plan: &LayerPlan) -> Self {
        Self { patched: vec![false; plan.n_student_layers()] }
    }

    /// All layers: the teacher.
    pub fn all(plan: &LayerPlan) -> Self {
        Self { patched: vec![true; plan.n_student_layers()] }
    }

    /// The given student layers.
    ///
    /// # Errors
    /// [`PlanError::NoSuchStudentLayer`].
    pub fn of(layers: &[usize], plan: &LayerPlan) -> Result<Self, PlanError> {
        let mut patch = Self::none(plan);
        for &layer in layers {
            let n_student_layers = plan.n_student_layers();
            let flag = patch
                .patched
                .get_mut(layer)
                .ok_or(PlanError::NoSuchStudentLayer { layer, n_student_layers })?;
            *flag = true;
        }
        Ok(patch)
    }

    pub fn contains(&self, layer: usize) -> bool {
        self.patched.get(layer).copied().unwrap_or(false)
    }

    /// The patched student layers, ascending.
    pub fn layers(&self) -> Vec<usize> {
        (0..self.patched.len()).filter(|&layer| self.patched[layer]).collect()
    }

    /// The same patch with one layer added or removed.
    pub fn toggled(&self, layer: usize) -> Self {
        let mut patch = self.clone();
        if let Some(flag) = patch.patched.get_mut(layer) {
            *flag = !*flag;
        }
        patch
    }
}

/// The order in which student layers are patched as size grows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PatchOrder {
    /// From the last student layer to the first: the paper's order for Qwen3 and Pythia.
    Last,
    /// From the first student layer to the last: the paper's order for Llama.
    First,
    /// Found by a search: student layers in patch order.
    Found(Vec<usize>),
}

impl PatchOrder {
    /// `first`, `last`, or the layers as `3-0-2-1`.
    pub fn name(&self) -> String {
        match self {
            Self::First => "first".to_owned(),
            Self::Last => "last".to_owned(),
            Self::Found(layers) => {
                let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
                layers.join("-")
            }
        }
    }

    /// Student layers in the order in which they are patched.
    ///
    /// # Errors
    /// [`PlanError::NotAPermutation`] for a found order that is not a permutation of the plan's
    /// student layers.
    pub fn layers(&self, plan: &LayerPlan) -> Result<Vec<usize>, PlanError> {
        let n_student_layers = plan.n_student_layers();
        match self {
            Self::First => Ok((0..n_student_layers).collect()),
            Self::Last => Ok((0..n_student_layers).rev().collect()),
            Self::Found(found) => {
                let mut sorted = found.clone();
                sorted.sort_unstable();
                if !sorted.into_iter().eq(0..n_student_layers) {
                    return Err(PlanError::NotAPermutation {
                        found: found.clone(),
                        n_student_layers,
                    });
                }
                Ok(found.clone())
            }
        }
    }

    /// The patches of all sizes of the family, from student to teacher: nested, each larger than
    /// the previous one by one block of several layers.
    ///
    /// Blocks of a single layer do not change the size and are included in the step that reaches
    /// them, so that step `k >= 1` is the reference implementation's `k`.
    ///
    /// # Errors
    /// As [`PatchOrder::layers`].
    pub fn path(&self, plan: &LayerPlan) -> Result<Vec<Patch>, PlanError> {
        let mut path = vec![Patch::none(plan)];
        let mut patch = Patch::none(plan);
        let mut n_grown = 0;
        for layer in self.layers(plan)? {
            let grows = plan.block(layer).len() > 1;
            if grows && n_grown > 0 {
                path.push(patch.clone());
            }
            n_grown += usize::from(grows);
            patch = patch.toggled(layer);
        }
        path.push(patch);
        Ok(path)
    }
}
