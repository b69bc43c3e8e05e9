//! The model in a web worker, off the page's thread.
//!
//! [`worker`] loads a bundle and writes texts with the same `core` as the command line; what it and
//! the page say to each other is in [`messages`]. Two programs are built from this crate, one for
//! the CPU and one for WebGPU; the page links only the messages, the notices and the fetching.

mod arrivals;
pub mod fetch;
mod loading;
pub mod messages;
pub mod notice;
mod turn;
pub mod worker;
mod writing;
