//! Two to four sizes side by side.

use leptos::prelude::*;

use crate::components::compare::Compare;
use crate::components::engine_status::EngineStatus;
use crate::components::prompt_line::PromptLine;
use crate::components::share::LinkNotes;
use crate::state::bench::Bench;
use crate::state::prompt_size::PromptSize;
use crate::state::session::Session;
use crate::views::with_bench;

#[component]
pub fn CompareView() -> impl IntoView {
    let session: Session = expect_context();
    let panel = |bench: Bench| {
        let Bench { session, dial, draft, compared, address, link_problems, .. } = bench;
        let length = PromptSize::of(session, dial, draft);
        view! {
            <LinkNotes problems=link_problems.get_value()/>
            <section class="panel" aria-labelledby="compare-heading">
                <Compare session dial draft compared length>
                    <PromptLine session dial draft address length/>
                </Compare>
            </section>
        }
    };
    view! {
        <EngineStatus session/>
        {with_bench(panel)}
    }
}
