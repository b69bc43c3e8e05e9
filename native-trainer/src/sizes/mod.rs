//! The sizes of a family as files: how large each would be, how close it is to the teacher, and
//! which is best within a budget.

mod budget;
mod choice;
mod compare;
mod head;

use boomerang_core::plan::{HeadPolicy, LayerPlan, Patch};

use crate::files::{ModelFolder, WeightsFormat, member};
pub use budget::{Budget, CacheSize};
pub use choice::{ChoiceArgs, Size, with_layers};
pub use compare::{choose_heads, compare, measure};
pub use head::{Head, head_name};

/// The size of a member whose tensors are copied unchanged.
pub fn size_of(
    plan: &LayerPlan,
    (teacher, student): (&ModelFolder, &ModelFolder),
    (patch, head): (Patch, HeadPolicy),
    cache: Option<CacheSize>,
) -> anyhow::Result<Size> {
    let (checkpoint, config) = member(&plan.recipe(&patch), head, teacher, student)?;
    Ok(Size {
        patch,
        head,
        n_layers: config.n_layers(),
        n_params: config.n_params(),
        n_bytes: WeightsFormat::default().n_bytes(&checkpoint),
        cache_bytes: cache.map_or(0, |cache| cache.n_bytes(&config)),
        kl: None,
    })
}
