//! What members of a family answer, and what follows from it: curves, orders, bundles.

pub mod answers;
pub mod bundle;
pub mod calibration;
pub mod curve;
pub mod members;
pub mod order;
