//! This machine: its properties, whether it computes the recorded results, its speed, and a report.

use boomerang_core::bundle::{Recordings, TaskFile};
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::device_check::DeviceCheck;
use super::device_speed::DeviceSpeed;
use crate::browser::clipboard::copy;
use crate::browser::machine::{Fact, Machine};
use crate::state::device::{DeviceState, Report, to_markdown};
use crate::state::dial::Dial;
use crate::state::session::Session;

#[component]
pub fn Device(
    session: Session,
    dial: Dial,
    state: DeviceState,
    /// What members generated when the bundle was made, once it is loaded.
    #[prop(into)]
    recordings: Signal<Option<Recordings>>,
    /// The bundle's questions, once they are loaded.
    #[prop(into)]
    task: Signal<Option<TaskFile>>,
) -> impl IntoView {
    let machine = state.machine;
    if machine.with_untracked(Option::is_none) {
        spawn_local(async move { machine.set(Some(Machine::detect().await)) });
    }
    let facts = Memo::new(move |_| {
        let choice = session.choice.get();
        machine.with(|machine| {
            machine.as_ref().map(|machine| machine.facts(choice.as_ref())).unwrap_or_default()
        })
    });
    view! {
        <section class="panel" aria-labelledby="machine-heading">
            <h2 id="machine-heading">"This machine"</h2>
            <dl class="facts" id="machine">
                {move || facts.get().into_iter().map(fact).collect_view()}
            </dl>
        </section>
        <section class="panel" aria-labelledby="check-heading">
            <DeviceCheck session dial state recordings/>
        </section>
        <section class="panel" aria-labelledby="measure-heading">
            <DeviceSpeed session dial state task/>
        </section>
        <section class="panel" aria-labelledby="report-heading">
            <CopyReport dial state facts task/>
        </section>
    }
}

fn fact(fact: Fact) -> impl IntoView {
    view! {
        <div>
            <dt>{fact.name}</dt>
            <dd>{fact.value}</dd>
        </div>
    }
}

/// All results as text, to be copied.
#[component]
fn CopyReport(
    dial: Dial,
    state: DeviceState,
    facts: Memo<Vec<Fact>>,
    task: Signal<Option<TaskFile>>,
) -> impl IntoView {
    let report = Memo::new(move |_| {
        let (facts, checks, sizes) = (facts.get(), state.checks.get(), state.sizes.get());
        let task = task.with(|task| task.as_ref().map(|task| task.name.clone()));
        dial.family.with_value(|family| {
            to_markdown(&Report {
                model: &family.manifest().name,
                fingerprint: family.fingerprint(),
                facts: &facts,
                checks: &checks,
                task: task.as_deref(),
                sizes: &sizes,
            })
        })
    });
    let field = NodeRef::<html::Textarea>::new();
    let outcome = RwSignal::new("");
    let on_click = move |_| {
        let text = report.get_untracked();
        spawn_local(async move {
            if copy(&text).await {
                outcome.set("Copied.");
                return;
            }
            outcome.set("The clipboard is not available; copy the text from the field.");
            if let Some(field) = field.get_untracked() {
                // Without the focus the text is still visible.
                let _ = field.focus();
                field.select();
            }
        });
    };
    view! {
        <div class="panel-head">
            <h2 id="report-heading">"Report"</h2>
            <p class="quiet">"All of the above as Markdown. It is not sent anywhere."</p>
        </div>
        <textarea
            id="report"
            class="report"
            rows="10"
            readonly
            aria-labelledby="report-heading"
            node_ref=field
            prop:value=report
        ></textarea>
        <div class="button-row">
            <button type="button" id="copy-report" on:click=on_click>"Copy report"</button>
            <p class="quiet" role="status" id="report-copied">{outcome}</p>
        </div>
    }
}
