//! Which teacher layers the student keeps, the teacher block of each student layer, and the
//! patches.
//!
//! Only arithmetic on layer indices: no tensors, no files. Pruning, distillation, patching and the
//! layer map on the page all read the same plan.

mod keep;
mod order;
mod order_file;
mod recipe;
mod seam;
mod shared;

use std::ops::Range;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use keep::KeepRule;
pub use order::{Patch, PatchOrder};
pub use order_file::{OrderFile, OrderFileError};
pub use recipe::{Ends, HeadPolicy, LayerSource, Owner, Recipe};
pub use seam::{Seam, pruned_seams};

/// The teacher's layers cut into consecutive blocks; the student keeps the first layer of each.
///
/// Invariant: the blocks are not empty and cover `0..n_teacher_layers` in order, without gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KeptLayers", into = "KeptLayers")]
pub struct LayerPlan {
    blocks: Vec<Range<usize>>,
}

/// Serialized form of a [`LayerPlan`].
#[derive(Clone, Serialize, Deserialize)]
struct KeptLayers {
    kept: Vec<usize>,
    n_teacher_layers: usize,
}

/// Why a plan, patch or patch order is invalid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    #[error("a teacher without layers cannot be pruned")]
    NoLayers,
    #[error("no layer is kept; a student needs at least teacher layer 0")]
    NothingKept,
    #[error("the first kept layer is {found}; expected 0, which reads the embedding")]
    FirstLayerDropped { found: usize },
    #[error("kept layers must be in ascending order; found {next} after {previous}")]
    NotAscending { previous: usize, next: usize },
    #[error("layer {layer} is kept, but the teacher only has layers 0 to {last}", last = n_teacher_layers - 1)]
    OutOfRange { layer: usize, n_teacher_layers: usize },
    #[error("keep-first and keep-every must be at least 1")]
    ZeroStep,
    #[error("student layer {layer} does not exist; the student has layers 0 to {last}", last = n_student_layers - 1)]
    NoSuchStudentLayer { layer: usize, n_student_layers: usize },
    #[error(
        "a patch order must list each of the {n_student_layers} student layers exactly once; found \
         {found:?}"
    )]
    NotAPermutation { found: Vec<usize>, n_student_layers: usize },
}

/// Pairs of hidden states, `(student state, teacher state)`, that the alignment loss compares
/// (arXiv:2510.05064).
///
/// State 0 is the embedding, state `i + 1` the output of layer `i`, the last one after the final
/// norm.
pub type Alignment = Vec<(usize, usize)>;

impl LayerPlan {
    /// Keeps the given teacher layers and drops the rest.
    ///
    /// # Errors
    /// [`PlanError`] unless `kept` starts at layer 0, ascends, and stays below `n_teacher_layers`.
    pub fn keep(kept: &[usize], n_teacher_layers: usize) -> Result<Self, PlanError> {
        if n_teacher_layers == 0 {
            return Err(PlanError::NoLayers);
        }
        match kept.first() {
            None => return Err(PlanError::NothingKept),
            Some(0) => {}
            Some(&found) => return Err(PlanError::FirstLayerDropped { found }),
        }
        for pair in kept.windows(2) {
            if pair[0] >= pair[1] {
                return Err(PlanError::NotAscending { previous: pair[0], next: pair[1] });
            }
        }
        if let Some(&layer) = kept.iter().find(|&&layer| layer >= n_teacher_layers) {
            return Err(PlanError::OutOfRange { layer, n_teacher_layers });
        }
        let ends = kept[1..].iter().copied().chain([n_teacher_layers]);
        let blocks = kept.iter().zip(ends).map(|(&start, end)| start..end).collect();
        Ok(Self { blocks })
    }

    /// Keeps layers by the paper's rule (arXiv:2510.05064, section 3.1).
    ///
    /// # Errors
    /// [`PlanError::ZeroStep`] if `first` or `every` is 0, [`PlanError::NoLayers`] for an empty
    /// teacher.
    pub fn by_rule(rule: KeepRule, n_teacher_layers: usize) -> Result<Self, PlanError> {
        if rule.first == 0 || rule.every == 0 {
            return Err(PlanError::ZeroStep);
        }
        let kept: Vec<usize> =
            (0..n_teacher_layers).filter(|&layer| !rule.cuts(layer, n_teacher_layers)).collect();
        Self::keep(&kept, n_teacher_layers)
    }

    pub fn n_teacher_layers(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.end)
    }

    pub fn n_student_layers(&self) -> usize {
        self.blocks.len()
    }

    /// The teacher block that student layer `layer` replaces.
    pub fn block(&self, layer: usize) -> Range<usize> {
        self.blocks[layer].clone()
    }

    /// The teacher layers the student keeps, ascending.
    pub fn kept(&self) -> Vec<usize> {
        self.blocks.iter().map(|block| block.start).collect()
    }

    /// The teacher layers the student drops, ascending.
    pub fn dropped(&self) -> Vec<usize> {
        self.blocks.iter().flat_map(|block| block.start + 1..block.end).collect()
    }

    /// Pairs student state `i + 1` with the output of block `i`, and embedding with embedding.
    pub fn alignment(&self) -> Alignment {
        let ends = self.blocks.iter().map(|block| block.end);
        [0].into_iter().chain(ends).enumerate().collect()
    }
}

impl TryFrom<KeptLayers> for LayerPlan {
    type Error = PlanError;

    fn try_from(layers: KeptLayers) -> Result<Self, PlanError> {
        Self::keep(&layers.kept, layers.n_teacher_layers)
    }
}

impl From<LayerPlan> for KeptLayers {
    fn from(plan: LayerPlan) -> Self {
        Self { kept: plan.kept(), n_teacher_layers: plan.n_teacher_layers() }
    }
}
