//! What others do to make a model smaller without training: the teacher with its least influential
//! layers left out (ShortGPT), and with neighbouring layers merged (LaCo).
//!
//! Naive pruning, the third such baseline, is arithmetic on layer numbers:
//! [`LayerPlan::naive`](crate::plan::LayerPlan::naive).

mod collapse;
mod influence;

pub use collapse::{LayerCollapse, Merge, collapse, merge_values};
pub use influence::{block_influence, keeping, without_least_influential};
