//! What is shown at each address; `place.rs` has the addresses.

pub mod about;
pub mod compare;
pub mod device;
pub mod explore;
pub mod learn;
pub mod lens;
pub mod missing;
pub mod models;
pub mod start;
pub mod sweep;
pub mod teach;

use leptos::prelude::*;

use crate::state::bench::{Bench, use_bench};

/// A view of something that needs a family: nothing until there is one.
pub fn with_bench<V>(view: impl Fn(Bench) -> V + Send + 'static) -> impl IntoView
where
    V: IntoView + 'static,
{
    let bench = use_bench();
    move || bench.get().map(&view)
}
