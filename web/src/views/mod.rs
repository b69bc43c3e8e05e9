//! What is shown at each address; `place.rs` has the addresses.

pub mod about;
pub mod compare;
pub mod device;
pub mod explore;
pub mod learn;
pub mod lens;
pub mod missing;
pub mod models;
pub mod start;
pub mod sweep;
pub mod teach;
