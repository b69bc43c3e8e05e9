//! Training: data, the training loop, the files of a run.

pub mod best;
pub mod curve;
pub mod data;
mod divergence;
pub mod guard;
pub mod held_out;
pub mod interrupt;
mod interval;
pub mod measurements;
pub mod metrics;
pub mod ranks;
pub mod replicas;
pub mod rollback;
pub mod run;
pub mod run_folder;
pub mod status;
pub mod teacher;
pub mod tensorboard;
