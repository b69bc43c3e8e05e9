//! The model, off the page's thread.
//!
//! [`client`] is the page's handle on the worker, [`messages`] what the two say to each other,
//! [`worker`] the other side. Worker and page are separate programs built from this one crate.

pub mod client;
mod fetch;
pub mod messages;
mod text_stream;
mod turn;
pub mod worker;

pub use client::Engine;
pub(crate) use fetch::{fetch_text, reason};
