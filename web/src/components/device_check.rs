//! Whether this machine computes what was recorded when the bundle was made.

use boomerang_core::bundle::Recordings;
use boomerang_engine::messages::{Answer, CheckedMember, Question};
use leptos::prelude::*;

use super::ask_row::{AskRow, Refusal, memory_in_words};
use super::notice_box::NoticeBox;
use super::scroll_table::ScrollTable;
use crate::browser::backend::Backend;
use crate::family::FamilyCard;
use crate::state::device::{DeviceState, check_finding, disagreement, small};
use crate::state::dial::Dial;
use crate::state::request_status::RequestStatus;
use crate::state::session::Session;
use crate::text::format;

#[component]
pub fn DeviceCheck(
    session: Session,
    dial: Dial,
    state: DeviceState,
    recordings: Signal<Option<Recordings>>,
) -> impl IntoView {
    let DeviceState { checks, check_status: status, .. } = state;
    let n_sizes = Memo::new(move |_| {
        dial.family.with_value(|family| session.fitting(family.measured_path()).len())
    });
    let is_running = Memo::new(move |_| status.with(|status| status.is_running(session)));
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
        let question = move |family: &FamilyCard| {
            // Recorded in the order in which memory is counted.
            let n_sizes = session.fitting(family.measured_path()).len();
            texts.iter_mut().for_each(|text| text.members.truncate(n_sizes));
            Question::Check { recorded: texts }
        };
        let on_answer = move |answer| {
            if let Answer::Check(check) = answer {
                checks.update(|checks| checks.push(check));
            }
        };
        if session.ask_model(question, on_answer, move |end| status.set(end)) {
            checks.set(Vec::new());
            status.set(RequestStatus::Running);
        }
    };
    let words = Memo::new(move |_| {
        let (n_records, is_running) = (n_records.get(), is_running.get());
        checks.with(|checks| {
            status.with(|status| match status {
                RequestStatus::NotStarted if n_records == 0 => {
                    "This bundle contains no recordings; boomerang bundle --record 40 adds them."
                        .to_owned()
                }
                RequestStatus::NotStarted => memory_in_words(session),
                RequestStatus::Running if is_running => {
                    format!("{} of {n_records} …", checks.len())
                }
                RequestStatus::Done => check_finding(checks).unwrap_or_default(),
                RequestStatus::Failed(_) => "Not checked.".to_owned(),
                RequestStatus::Running | RequestStatus::Stopped => "Stopped.".to_owned(),
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
    let notice = Signal::derive(move || status.with(|status| status.notice().cloned()));
    let table = move || checks.with(|checks| (!checks.is_empty()).then(|| table(checks)));
    view! {
        <div class="panel-head">
            <h2 id="check-heading">"Check this device"</h2>
            <p class="quiet">
                "Every size is run along the text that it generated when the bundle was made; it should \
                 predict the same tokens here."
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
        let differs = check.first_mismatch.is_some();
        let mismatch = check.first_mismatch.map(|index| format!("≠ token {}", index + 1));
        view! {
            <tr class:differs=differs>
                <th scope="row">{check.prompt.clone()}</th>
                <td>{check.n_layers}</td>
                <td>{check.n_tokens}</td>
                <td>{mismatch.unwrap_or_else(|| "none".to_owned())}</td>
                <td>{small(check.max_difference)}</td>
            </tr>
        }
    };
    let rows = checks.iter().map(row).collect_view();
    view! {
        <ScrollTable label="Every recorded text" is_tall=true>
            <table id="check-table" class="checks">
                <thead>
                    <tr>
                        <th scope="col">"Prompt"</th>
                        <th scope="col">"Layers"</th>
                        <th scope="col">"Tokens"</th>
                        <th scope="col">"First mismatch"</th>
                        <th scope="col">"Largest difference (nats)"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </ScrollTable>
    }
}
