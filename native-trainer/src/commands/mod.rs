//! One file for each command: open, compute, write.

pub mod analyze;
pub mod bundle;
pub mod data;
pub mod delta;
pub mod demo;
pub mod distill;
pub mod doctor;
pub mod eval;
pub mod experiment;
pub mod explore;
pub mod export;
pub mod generate;
pub mod hub;
pub mod inspect;
pub mod lessons;
pub mod patch;
pub mod pretrain;
pub mod prune;
pub mod report;
pub mod sample;
pub mod search;
pub mod trace;
pub mod verify;
