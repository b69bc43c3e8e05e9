//! The parts of the page. A component draws; what it shows is decided above it.

pub mod choice;
pub mod compare;
pub mod curve_chart;
pub mod curve_table;
mod download;
pub mod engine_status;
pub mod intro;
pub mod layer_strip;
pub mod models;
pub mod notice_box;
pub mod output;
pub mod prompt_box;
pub mod share;
pub mod size_dial;
pub mod sweep;
mod width;
