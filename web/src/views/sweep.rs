//! The predictions of all sizes along one text.

use leptos::prelude::*;

use crate::components::engine_status::EngineStatus;
use crate::components::prompt_line::PromptLine;
use crate::components::share::LinkNotes;
use crate::components::sweep::Sweep;
use crate::state::bench::Bench;
use crate::state::prompt_size::PromptSize;
use crate::state::session::Session;
use crate::views::with_bench;

#[component]
pub fn SweepView() -> impl IntoView {
    let session: Session = expect_context();
    let panel = |bench: Bench| {
        let Bench { session, dial, draft, address, link_problems, .. } = bench;
        let length = PromptSize::of(session, dial, draft);
        view! {
            <LinkNotes problems=link_problems.get_value()/>
            <section class="panel" aria-labelledby="sweep-heading">
                <Sweep session dial draft length>
                    <PromptLine session dial draft address length/>
                </Sweep>
            </section>
        }
    };
    view! {
        <EngineStatus session/>
        {with_bench(panel)}
    }
}
