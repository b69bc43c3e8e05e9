//! Whether two sizes differ, and how smoothly quality grows with size: statistics of curves.
//!
//! Only numbers in, numbers out. Members of a family answer the same questions, so differences are
//! taken question by question: [`McNemar`] for right and wrong, [`paired_bootstrap`] for any score
//! and for means over tasks, [`holm`] when several sizes are compared at once. [`Shape`] says what a
//! curve looks like.

mod bootstrap;
mod holm;
mod mcnemar;
mod shape;

pub use bootstrap::{Bootstrap, Resampled, paired_bootstrap};
pub use holm::holm;
pub use mcnemar::{McNemar, McNemarMethod};
pub use shape::{Fall, Shape};
