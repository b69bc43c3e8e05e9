//! What the page and the npm package share, and neither draws: addresses of bundles, a family as its manifest describes it,
//! how much of it fits in memory, and a handle on a worker.
//!
//! A crate of its own, so that a change to it rebuilds no worker, and the package links no page.

pub mod address;
pub mod budget;
pub mod family;
pub mod format;
pub mod js;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod worker;
