//! What is shown at each address; `browser/view.rs` has the addresses.

pub mod about;
pub mod compare;
pub mod device;
pub mod distill;
pub mod explore;
pub mod learn;
pub mod lens;
pub mod missing;
pub mod models;
pub mod start;
pub mod sweep;

use leptos::prelude::*;

use crate::state::bench::{Bench, use_bench};

/// Renders a view that needs a family, once one is open.
pub fn with_bench<V>(view: impl Fn(Bench) -> V + Send + 'static) -> impl IntoView
where
    V: IntoView + 'static,
{
    let bench = use_bench();
    move || bench.get().map(&view)
}
