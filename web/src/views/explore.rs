//! The bench: dial, strip, curve, and the user's own prompt.

use leptos::prelude::*;

use crate::components::engine_status::EngineStatus;
use crate::components::panels::Panels;
use crate::components::share::LinkNotes;
use crate::state::bench::Bench;
use crate::state::session::Session;
use crate::views::with_bench;

#[component]
pub fn Explore() -> impl IntoView {
    let session: Session = expect_context();
    let panels = |bench: Bench| {
        let limits = bench.limits.get_value();
        view! {
            <LinkNotes problems=bench.link_problems.get_value()/>
            <Panels bench limits=Signal::stored(limits)/>
        }
    };
    view! {
        <h1 class="visually-hidden">"Explore the sizes"</h1>
        <EngineStatus session/>
        {with_bench(panels)}
    }
}
