//! Which layers a student keeps.

use boomerang_core::plan::{KeepRule, LayerPlan, PlanError};
use clap::Args;

use super::numbers::count;

/// Which layers of the teacher the student keeps.
#[derive(Args, Clone, Debug)]
pub struct KeepArgs {
    /// Teacher layers to keep, e.g. 0,2,4,5; overrides the rule of the next three options
    #[arg(long, value_delimiter = ',', value_name = "LAYERS")]
    pub keep: Vec<usize>,
    /// Keep this many layers at the start
    #[arg(long, default_value_t = 1, alias = "first_layers_to_keep", value_name = "N")]
    pub keep_first: usize,
    /// Keep this many layers at the end
    #[arg(long, default_value_t = 2, alias = "last_layers_to_keep", value_name = "N")]
    pub keep_last: usize,
    /// Keep every N-th layer in between
    #[arg(value_parser = count, long, default_value_t = 2, alias = "alternate_every_n_layers", value_name = "N")]
    pub keep_every: usize,
}

impl KeepArgs {
    pub fn rule(&self) -> KeepRule {
        KeepRule { first: self.keep_first, last: self.keep_last, every: self.keep_every }
    }

    /// # Errors
    /// [`PlanError`] when the layers do not make a student.
    pub fn plan(&self, n_teacher_layers: usize) -> Result<LayerPlan, PlanError> {
        if self.keep.is_empty() {
            LayerPlan::by_rule(self.rule(), n_teacher_layers)
        } else {
            LayerPlan::keep(&self.keep, n_teacher_layers)
        }
    }
}
