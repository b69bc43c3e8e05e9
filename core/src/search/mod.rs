//! Searches for patch orders: the divergence of members from their teacher, and orders in which it
//! falls quickly.

mod divergence;
mod measured;
mod order;

pub use divergence::{Divergence, divergences};
pub use measured::{MeasuredMembers, Metric};
pub use order::{MOST_LAYERS_EXACT, SearchError, beam, exact, greedy};
