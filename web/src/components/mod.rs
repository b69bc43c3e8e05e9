//! The parts of the page. A component draws; what it shows is decided above it.

pub mod choice;
pub mod curve_chart;
pub mod curve_table;
pub mod engine_status;
pub mod intro;
pub mod layer_strip;
pub mod notice_box;
pub mod output;
pub mod prompt_box;
pub mod size_dial;
mod width;
