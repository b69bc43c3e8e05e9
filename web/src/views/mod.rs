//! What is shown at each address; `place.rs` has the addresses.

pub mod about;
pub mod compare;
pub mod explore;
pub mod learn;
pub mod missing;
pub mod start;
pub mod sweep;
pub mod teach;
