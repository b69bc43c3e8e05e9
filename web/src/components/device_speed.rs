//! Accuracy and speed of all sizes on this machine.

use boomerang_core::bundle::TaskFile;
use boomerang_core::chart::Chart;
use boomerang_core::plan::Patch;
use boomerang_engine::messages::{Answer, Question};
use leptos::html;
use leptos::prelude::*;

use super::ask_row::{AskRow, Refusal, memory_in_words};
use super::saves::{SAVED_HEIGHT, SAVED_WIDTH, Saves};
use super::scroll_table::ScrollTable;
use super::width::width_of;
use crate::family::{FamilyCard, MemberSize};
use crate::state::device::{
    DeviceState, MeasuredHere, MeasuredSize, chance, chart, csv, measured_finding, memory, share,
};
use crate::state::dial::Dial;
use crate::state::request_status::RequestStatus;
use crate::state::session::Session;
use crate::text::format;

#[component]
pub fn DeviceSpeed(
    session: Session,
    dial: Dial,
    state: DeviceState,
    task: Signal<Option<TaskFile>>,
) -> impl IntoView {
    let DeviceState { sizes, measure_status: status, .. } = state;
    let n_all = dial.family.with_value(|family| family.path().len());
    let n_sizes =
        Memo::new(move |_| dial.family.with_value(|family| session.fitting(family.path()).len()));
    let is_running = Memo::new(move |_| status.with(|status| status.is_running(session)));
    let includes_task = dial.family.with_value(|family| family.manifest().task.is_some());
    let has_task = Memo::new(move |_| task.with(Option::is_some));
    let can_start = Memo::new(move |_| session.can_ask() && has_task.get());
    let start = move || {
        let Some(task) = task.get_untracked() else { return };
        // In the order of the dial; those that fit in memory are the first.
        let requested: Vec<(Patch, MemberSize)> = dial.family.with_value(|family| {
            let path = family.path().iter();
            path.map(|patch| (patch.clone(), family.size(patch))).collect()
        });
        let chance = chance(&task);
        let question = move |family: &FamilyCard| Question::Measure {
            patches: session.fitting(family.path()),
            task,
        };
        let on_answer = move |answer| {
            if let Answer::Measured(measured) = answer {
                let index = sizes.with_untracked(Vec::len);
                if let Some((patch, size)) = requested.get(index).cloned() {
                    sizes.update(|sizes| sizes.push(MeasuredSize { size, measured }));
                    let here = MeasuredHere { patch, size, measured, chance };
                    dial.measured_here.update(|all| here.put_into(all));
                }
            }
        };
        if session.ask_model(question, on_answer, move |end| status.set(end)) {
            sizes.set(Vec::new());
            status.set(RequestStatus::Running);
        }
    };
    let words = Memo::new(move |_| {
        let (has_task, is_running) = (has_task.get(), is_running.get());
        sizes.with(|sizes| {
            status.with(|status| match status {
                RequestStatus::NotStarted if !includes_task => {
                    "This bundle contains no questions; boomerang bundle --task FILE adds them."
                        .to_owned()
                }
                RequestStatus::NotStarted if !has_task => {
                    "The questions are not loaded yet.".to_owned()
                }
                RequestStatus::NotStarted => memory_in_words(session),
                RequestStatus::Running if is_running => {
                    format!("{} of {} …", sizes.len(), format::count(n_sizes.get(), "size"))
                }
                RequestStatus::Done => measured_finding(sizes).unwrap_or_default(),
                RequestStatus::Failed(_) => "Not measured.".to_owned(),
                RequestStatus::Running | RequestStatus::Stopped => "Stopped.".to_owned(),
            })
        })
    });
    let what = move || {
        task.with(|task| {
            task.as_ref().map(|task| {
                let n = format::count(task.questions.len(), "question");
                format!(
                    "{n} ({}) with multiple choices, answered by the most likely choice; then 32 \
                     tokens are generated again and again until the speed is steady, and the median \
                     of the last runs is shown.",
                    task.name
                )
            })
        })
    };
    let notice = Signal::derive(move || status.with(|status| status.notice().cloned()));
    let table = move || sizes.with(|sizes| (!sizes.is_empty()).then(|| table(sizes)));
    view! {
        <div class="panel-head">
            <h2 id="measure-heading">"Evaluate on this device"</h2>
            <p class="quiet">{what}</p>
        </div>
        <AskRow
            session
            id="measure"
            label=Signal::derive(move || format!("Measure {}", format::count(n_sizes.get(), "size")))
            can_start
            is_running
            on_start=start
            words=words
        />
        {table}
        <Picture sizes task n_all/>
        <Refusal notice/>
    }
}

fn table(sizes: &[MeasuredSize]) -> impl IntoView + use<> {
    let row = |of: &MeasuredSize| {
        view! {
            <tr>
                <th scope="row">{of.size.n_layers}</th>
                <td>{format::params(of.size.n_params)}</td>
                <td class="accuracy">{share(of)}</td>
                <td>{of.speed_in_words()}</td>
                <td>{format!("{:.1}", of.millis_per_token())}</td>
                <td>{memory(of.measured.heap_bytes)}</td>
            </tr>
        }
    };
    let rows = sizes.iter().map(row).collect_view();
    view! {
        <ScrollTable label="Every size on this machine">
            <table id="measure-table">
                <thead>
                    <tr>
                        <th scope="col">"Layers"</th>
                        <th scope="col">"Parameters"</th>
                        <th scope="col">"Accuracy ± standard error"</th>
                        <th scope="col">"Tokens/s (slowest–fastest)"</th>
                        <th scope="col">"ms/token"</th>
                        <th scope="col">"Memory so far"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </ScrollTable>
        <p class="quiet">
            "Memory is that of the model's program after measuring a size; it never shrinks while the \
             program runs, and does not include GPU memory."
        </p>
    }
}

/// Accuracy against time, and what was measured as files.
#[component]
fn Picture(
    sizes: RwSignal<Vec<MeasuredSize>>,
    task: Signal<Option<TaskFile>>,
    /// Sizes of the family, the teacher the last.
    n_all: usize,
) -> impl IntoView {
    let drawn = Memo::new(move |_| {
        task.with(|task| sizes.with(|sizes| chart(sizes, task.as_ref(), n_all)))
    });
    let figure = NodeRef::<html::Div>::new();
    let width = width_of(figure);
    let picture = move || {
        let width = width.get();
        let height = (width * 0.55).clamp(280.0, 480.0);
        drawn.with(|drawn| drawn.as_ref().map(|chart| chart.to_element("speed", width, height)))
    };
    let svg = Signal::derive(move || {
        let draw = |chart: &Chart| chart.to_svg(SAVED_WIDTH, SAVED_HEIGHT);
        drawn.with(|drawn| drawn.as_ref().map(draw).unwrap_or_default())
    });
    let csv = Signal::derive(move || sizes.with(|sizes| csv(sizes)));
    view! {
        <figure class="curve device-picture">
            // The text of the drawing comes from `core`, which escapes every word in it.
            <div node_ref=figure inner_html=move || picture().unwrap_or_default()></div>
        </figure>
        <Show when=move || sizes.with(|sizes| !sizes.is_empty())>
            <Saves name="device" svg csv/>
        </Show>
    }
}
