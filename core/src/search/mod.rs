//! Which layers to patch: how far members are from their teacher, and orders in which they come
//! nearer to it fast.

mod divergence;
mod measured;
mod order;

pub use divergence::{Divergence, divergences};
pub use measured::{MeasuredMembers, Metric};
pub use order::{MOST_LAYERS_EXACT, SearchError, beam, exact, greedy};
