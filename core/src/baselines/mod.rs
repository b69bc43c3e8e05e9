//! Training-free depth pruning to compare with: removing the least influential layers (ShortGPT)
//! and merging neighboring layers (LaCo).
//!
//! Naive pruning, the third such baseline, is arithmetic on layer numbers:
//! [`LayerPlan::naive`](crate::plan::LayerPlan::naive).

mod collapse;
mod influence;

pub use collapse::{LayerCollapse, Merge, collapse, merge_values};
pub use influence::{block_influence, keeping, without_least_influential};
