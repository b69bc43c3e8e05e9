//! The model in a web worker, off the page's thread.
//!
//! [`worker`] loads a bundle and writes texts with the same `core` as the command line; what it and
//! the page say to each other is in [`messages`]. [`teaching`] trains a student. Three programs are
//! built from this crate, the model for the CPU and for WebGPU, and the teaching; the page links only
//! the messages, the notices, the fetching and what [`store`] lets it read.

mod arrivals;
mod arriving;
mod cast;
mod checking;
pub mod fetch;
mod keeping;
mod lens;
mod loading;
mod measuring;
pub mod messages;
pub mod notice;
mod own;
mod pace;
pub mod parcel;
pub mod store;
pub mod teaching;
mod turn;
pub mod worker;
mod writing;
