//! The state of the page, as signals: what was requested, what is loaded, and the results.
//!
//! Results as sentences, CSV or Markdown are next to their state; nothing here is drawn.

pub mod address;
pub mod bench;
pub mod chat;
pub mod device;
pub mod dial;
pub mod distillation;
pub mod draft;
pub mod lens;
pub mod lessons;
pub mod mirror;
pub mod paragraph_scores;
pub mod prompt_size;
pub mod published;
pub mod request_status;
pub mod run;
pub mod session;
pub mod stored;
pub mod trial;
pub mod typed_number;
pub mod upload;
pub mod watchdog;
