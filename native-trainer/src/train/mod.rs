//! Training: rows of data, the loop around a step, the files of a run.

pub mod data;
pub mod run;
pub mod run_folder;
