//! Answers of the members of a family, and what is made of them: curves, orders, bundles.

pub mod answers;
pub mod bundle;
pub mod bytes;
pub mod calibration;
pub mod curve;
pub mod members;
pub mod order;
