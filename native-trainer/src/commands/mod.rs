//! One file for each command: open, compute, write.

pub mod bundle;
pub mod demo;
pub mod distill;
pub mod doctor;
pub mod eval;
pub mod explore;
pub mod generate;
pub mod inspect;
pub mod patch;
pub mod pretrain;
pub mod prune;
pub mod trace;
pub mod verify;
