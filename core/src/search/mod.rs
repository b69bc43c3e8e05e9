//! Which layers to patch: how far members are from their teacher.

mod divergence;

pub use divergence::{Divergence, Estimate, divergences};
