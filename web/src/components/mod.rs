//! The parts of the page. A component draws; what it shows is decided above it.

pub mod choice;
pub mod compare;
pub mod curve_chart;
pub mod curve_table;
mod download;
pub mod engine_status;
pub mod intro;
pub mod keys;
pub mod layer_strip;
pub mod lesson_card;
pub mod notice_box;
pub mod output;
pub mod panels;
pub mod prompt_box;
pub mod prompt_line;
pub mod recorded_text;
pub mod saves;
pub mod share;
pub mod size_dial;
pub mod story;
pub mod sweep;
pub mod teach;
pub mod teach_chart;
pub mod teach_settings;
mod width;
