//! This machine: its properties, whether it computes correctly, and the speed of the sizes.

use leptos::prelude::*;

use crate::components::device::Device;
use crate::components::engine_status::EngineStatus;
use crate::state::bench::Bench;
use crate::state::session::Session;
use crate::views::with_bench;

#[component]
pub fn DeviceView() -> impl IntoView {
    let session: Session = expect_context();
    let panels = |bench: Bench| {
        let Bench { session, dial, device, .. } = bench;
        session.open_task();
        let recordings = Signal::derive(move || {
            session.recordings.with(|recordings| recordings.as_deref().cloned())
        });
        let task = Signal::derive(move || session.task.with(|task| task.as_deref().cloned()));
        view! { <Device session dial state=device recordings task/> }
    };
    view! {
        <h1 class="visually-hidden">"What this device can do"</h1>
        <EngineStatus session/>
        {with_bench(panels)}
    }
}
