//! Training: data, the training loop, the files of a run.

pub mod data;
pub mod replicas;
pub mod run;
pub mod run_folder;
pub mod teacher;
