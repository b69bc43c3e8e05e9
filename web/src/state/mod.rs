//! The state of the page, as signals: what was asked for, what is loaded, what was found.
//!
//! What a state says in words, as CSV or as Markdown stands beside it; nothing here is drawn.

pub mod address;
pub mod bench;
pub mod device;
pub mod dial;
pub mod distillation;
pub mod draft;
pub mod lens;
pub mod mirror;
pub mod readings;
pub mod request_status;
pub mod run;
pub mod session;
pub mod stored;
pub mod trial;
pub mod upload;
