//! The model in a web worker, off the page's thread.
//!
//! [`worker`] loads a bundle and generates texts with the same `core` as the command line; its
//! protocol with the page is in [`messages`]. [`distillation`] trains a student. Four programs are
//! built from this crate: the model and the distillation, each for the CPU and for WebGPU. The page
//! and the npm package link only the messages, the notices, the fetching, the waiting, the parts of
//! [`store`] that read and that hold runs, and [`sealed`].

mod bundle;
mod checking;
pub mod distillation;
pub mod fetch;
mod generating;
#[cfg(feature = "gpu")]
pub mod gpu;
mod lens;
mod loading;
mod measuring;
mod members;
pub mod messages;
pub mod notice;
pub mod parcel;
mod prompt;
pub mod sealed;
mod steady;
pub mod store;
mod storing;
mod throttle;
mod turn;
mod upload;
pub mod waiters;
pub mod worker;
