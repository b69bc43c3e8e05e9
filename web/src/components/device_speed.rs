//! How well and how fast all sizes are on this machine.

use boomerang_core::bundle::TaskFile;
use boomerang_core::chart::Chart;
use boomerang_engine::messages::{Reply, Request};
use leptos::html;
use leptos::prelude::*;

use super::ask_row::{AskRow, Refusal, room_in_words};
use super::saves::{SAVED_HEIGHT, SAVED_WIDTH, Saves};
use super::width::width_of;
use crate::family::{FamilyCard, MemberSize};
use crate::state::device::{
    DeviceState, MeasuredSize, chart, csv, measured_finding, memory, share,
};
use crate::state::dial::Dial;
use crate::state::request_status::Asked;
use crate::state::session::Session;
use crate::text::format;

#[component]
pub fn DeviceSpeed(
    session: Session,
    dial: Dial,
    state: DeviceState,
    task: Signal<Option<TaskFile>>,
) -> impl IntoView {
    let DeviceState { sizes, measured, .. } = state;
    let n_all = dial.family.with_value(|family| family.path().len());
    let n_sizes =
        Memo::new(move |_| dial.family.with_value(|family| session.roomy(family.path()).len()));
    let is_running = Memo::new(move |_| measured.with(|measured| measured.is_running(session)));
    let brings_task = dial.family.with_value(|family| family.manifest().task.is_some());
    let has_task = Memo::new(move |_| task.with(Option::is_some));
    let can_start = Memo::new(move |_| session.can_ask() && has_task.get());
    let start = move || {
        let Some(task) = task.get_untracked() else { return };
        // In the order of the dial, of which those that have room are the first.
        let asked: Vec<MemberSize> = dial
            .family
            .with_value(|family| family.path().iter().map(|patch| family.size(patch)).collect());
        let request = move |id, family: &FamilyCard| Request::Measure {
            id,
            patches: session.roomy(family.path()),
            task,
        };
        let is_asked = session.consult(request, move |reply| {
            if let Reply::Measured { measured, .. } = reply {
                let measured = *measured;
                sizes.update(|sizes| {
                    if let Some(&size) = asked.get(sizes.len()) {
                        sizes.push(MeasuredSize { size, measured });
                    }
                });
            } else if let Some(after) = Asked::after(reply) {
                measured.set(after);
            }
        });
        if is_asked {
            sizes.set(Vec::new());
            measured.set(Asked::Running);
        }
    };
    let words = Memo::new(move |_| {
        let (has_task, is_running) = (has_task.get(), is_running.get());
        sizes.with(|sizes| {
            measured.with(|measured| match measured {
                Asked::NotYet if !brings_task => "This bundle comes without questions.".to_owned(),
                Asked::NotYet if !has_task => "Its questions are not here yet.".to_owned(),
                Asked::NotYet => room_in_words(session),
                Asked::Running if is_running => {
                    format!("{} of {} …", sizes.len(), format::count(n_sizes.get(), "size"))
                }
                Asked::Whole => measured_finding(sizes).unwrap_or_default(),
                Asked::Failed(_) => "Not measured.".to_owned(),
                Asked::Running | Asked::Stopped => "Stopped.".to_owned(),
            })
        })
    });
    let what = move || {
        task.with(|task| {
            task.as_ref().map(|task| {
                let n = format::count(task.questions.len(), "question");
                format!(
                    "{n} ({}), each with a few choices: the likeliest one counts. Then 32 tokens \
                     of a text are timed.",
                    task.name
                )
            })
        })
    };
    let notice = Signal::derive(move || measured.with(|measured| measured.notice().cloned()));
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
                <td>{format::speed(of.measured.tokens_per_second)}</td>
                <td>{format!("{:.1}", of.millis_per_token())}</td>
                <td>{memory(of.measured.heap_bytes)}</td>
            </tr>
        }
    };
    view! {
        <div class="table-scroll" tabindex="0" role="region" aria-label="Every size on this machine">
            <table id="measure-table">
                <thead>
                    <tr>
                        <th scope="col">"Layers"</th>
                        <th scope="col">"Parameters"</th>
                        <th scope="col">"Accuracy ± standard error"</th>
                        <th scope="col">"Tokens per second"</th>
                        <th scope="col">"Milliseconds per token"</th>
                        <th scope="col">"Memory so far"</th>
                    </tr>
                </thead>
                <tbody>{sizes.iter().map(row).collect_view()}</tbody>
            </table>
        </div>
        <p class="quiet">
            "Memory is that of the model's program after it has measured a size; browsers never take \
             it back while the program runs. What a GPU holds is not in it."
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
