//! Statistics of size curves: whether two sizes differ, and how smoothly quality grows with size.
//!
//! Numbers in, numbers out. Members of a family answer the same questions, so all tests are paired:
//! [`McNemar`] and [`PairedChange`] for correct and wrong answers, [`paired_bootstrap`] for any score and
//! for means over tasks, [`holm`] for several comparisons. [`Shape`] describes a curve.

mod bootstrap;
mod holm;
mod mcnemar;
mod newcombe;
mod shape;

pub use bootstrap::{Bootstrap, Resampled, paired_bootstrap};
pub use holm::holm;
pub use mcnemar::{McNemar, McNemarMethod};
pub use newcombe::PairedChange;
pub use shape::{Fall, Shape};
