//! Whether this machine computes what was recorded when the bundle was made.

use boomerang_core::bundle::Recordings;
use boomerang_engine::messages::{CheckedMember, Reply, Request};
use leptos::prelude::*;

use super::ask_row::{AskRow, Refusal, room_in_words};
use super::notice_box::NoticeBox;
use crate::browser::backend::Backend;
use crate::family::FamilyCard;
use crate::state::device::{DeviceState, check_finding, disagreement, small};
use crate::state::dial::Dial;
use crate::state::request_status::Asked;
use crate::state::session::Session;
use crate::text::format;

#[component]
pub fn DeviceCheck(
    session: Session,
    dial: Dial,
    state: DeviceState,
    recordings: Signal<Option<Recordings>>,
) -> impl IntoView {
    let DeviceState { checks, checked, .. } = state;
    let n_sizes = Memo::new(move |_| {
        dial.family.with_value(|family| session.roomy(family.measured_path()).len())
    });
    let is_running = Memo::new(move |_| checked.with(|checked| checked.is_running(session)));
    let is_gpu = Memo::new(move |_| {
        let backend = session.choice.with(|choice| choice.as_ref().map(|choice| choice.backend));
        backend == Some(Backend::WebGpu)
    });
    let n_records = Memo::new(move |_| {
        recordings.with(|recordings| {
            let texts = recordings.iter().flat_map(|recordings| &recordings.texts);
            texts.map(|text| text.members.len().min(n_sizes.get())).sum::<usize>()
        })
    });
    let can_start = Memo::new(move |_| session.can_ask() && n_records.get() > 0);
    let start = move || {
        let Some(Recordings { mut texts }) = recordings.get_untracked() else { return };
        let request = move |id, family: &FamilyCard| {
            // Recorded in the order in which room is counted.
            let n_sizes = session.roomy(family.measured_path()).len();
            texts.iter_mut().for_each(|text| text.members.truncate(n_sizes));
            Request::Check { id, recorded: texts }
        };
        let is_asked = session.consult(request, move |reply| {
            if let Reply::Checked { check, .. } = reply {
                checks.update(|checks| checks.push(check.clone()));
            } else if let Some(after) = Asked::after(reply) {
                checked.set(after);
            }
        });
        if is_asked {
            checks.set(Vec::new());
            checked.set(Asked::Running);
        }
    };
    let words = Memo::new(move |_| {
        let (n_records, is_running) = (n_records.get(), is_running.get());
        checks.with(|checks| {
            checked.with(|checked| match checked {
                Asked::NotYet if n_records == 0 => {
                    "This bundle comes without recordings.".to_owned()
                }
                Asked::NotYet => room_in_words(session),
                Asked::Running if is_running => format!("{} of {n_records} …", checks.len()),
                Asked::Whole => check_finding(checks).unwrap_or_default(),
                Asked::Failed(_) => "Not checked.".to_owned(),
                Asked::Running | Asked::Stopped => "Stopped.".to_owned(),
            })
        })
    });
    let verdict = move || {
        let is_gpu = is_gpu.get();
        let notice = recordings.with(|recordings| {
            checks.with(|checks| disagreement(checks, recordings.as_ref(), is_gpu))
        });
        notice.map(|notice| view! {
            <NoticeBox notice>
                {is_gpu.then(|| view! {
                    <p class="button-row">
                        <button type="button" id="check-on-cpu" on:click=move |_| session.load_on_cpu()>
                            "Use the CPU"
                        </button>
                    </p>
                })}
            </NoticeBox>
        })
    };
    let notice = Signal::derive(move || checked.with(|checked| checked.notice().cloned()));
    let table = move || checks.with(|checks| (!checks.is_empty()).then(|| table(checks)));
    view! {
        <div class="panel-head">
            <h2 id="check-heading">"Check this device"</h2>
            <p class="quiet">
                "Every size reads again what it wrote when the bundle was made; it should expect the \
                 same tokens here."
            </p>
        </div>
        <AskRow
            session
            id="check"
            label=Signal::derive(move || format!("Check {}", format::count(n_sizes.get(), "size")))
            can_start
            is_running
            on_start=start
            words=words
        />
        {verdict}
        {table}
        <Refusal notice/>
    }
}

/// A row for each recorded member of each text.
fn table(checks: &[CheckedMember]) -> impl IntoView + use<> {
    let row = |check: &CheckedMember| {
        let differs = check.first_difference.is_some();
        let place = check.first_difference.map(|place| format!("≠ token {}", place + 1));
        view! {
            <tr class:differs=differs>
                <th scope="row">{check.prompt.clone()}</th>
                <td>{check.n_layers}</td>
                <td>{check.n_tokens}</td>
                <td>{place.unwrap_or_else(|| "none".to_owned())}</td>
                <td>{small(check.max_difference)}</td>
            </tr>
        }
    };
    view! {
        <div class="table-scroll table-tall" tabindex="0" role="region" aria-label="Every recorded text">
            <table id="check-table" class="checks">
                <thead>
                    <tr>
                        <th scope="col">"Prompt"</th>
                        <th scope="col">"Layers"</th>
                        <th scope="col">"Tokens"</th>
                        <th scope="col">"First other token"</th>
                        <th scope="col">"Largest difference (nats)"</th>
                    </tr>
                </thead>
                <tbody>{checks.iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}
