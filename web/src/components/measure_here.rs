//! Measuring what the bundle has no measurement of, with its questions, on this machine.

use std::cell::Cell;
use std::sync::Arc;

use boomerang_core::bundle::TaskFile;
use boomerang_core::plan::Patch;
use boomerang_engine::messages::{Answer, Question};
use leptos::prelude::*;

use super::ask_row::Refusal;
use crate::family::FamilyCard;
use crate::state::device::{MeasuredHere, chance};
use crate::state::dial::Dial;
use crate::state::request_status::RequestStatus;
use crate::state::session::Session;
use crate::text::format;

/// The member on the dial, while it is not measured.
#[component]
pub fn MeasureThisSet(dial: Dial) -> impl IntoView {
    let is_needed = Memo::new(move |_| dial.score.with(Option::is_none));
    let patches = move |_: &FamilyCard| vec![dial.patch.get_untracked()];
    view! {
        <Show when=move || is_needed.get()>
            <MeasureHere dial class="measure-set" label="Measure this set" patches/>
        </Show>
    }
}

/// Every size on the dial, for a family without measurements.
#[component]
pub fn MeasureAllSizes(dial: Dial) -> impl IntoView {
    let session: Session = expect_context();
    let patches = move |family: &FamilyCard| session.fitting(family.path());
    view! { <MeasureHere dial class="measure-all" label="Measure all sizes on this device" patches/> }
}

#[component]
fn MeasureHere(
    dial: Dial,
    class: &'static str,
    label: &'static str,
    patches: impl Fn(&FamilyCard) -> Vec<Patch> + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let session: Session = expect_context();
    let has_task = dial.family.with_value(|family| family.manifest().task.is_some());
    if !has_task {
        return ().into_any();
    }
    // Only fetched where something can be measured with it.
    session.open_task();
    let status = RwSignal::new(RequestStatus::NotStarted);
    let can_start = Memo::new(move |_| session.can_ask() && session.task.with(Option::is_some));
    let start = move |_| {
        if let Some(task) = session.task.get_untracked() {
            measure(session, dial, &task, patches, status);
        }
    };
    let words = move || {
        if status.with(|status| status.is_running(session)) {
            return "Measuring …".to_owned();
        }
        session.task.with(|task| {
            task.as_ref().map_or_else(String::new, |task| {
                format!("with {}", format::count(task.questions.len(), "question"))
            })
        })
    };
    let notice = Signal::derive(move || status.with(|status| status.notice().cloned()));
    view! {
        <span class="measure-here">
            <button
                type="button"
                class=format!("link {class}")
                disabled=move || !can_start.get()
                on:click=start
            >
                {label}
            </button>
            " "
            <small class="quiet" role="status">{words}</small>
        </span>
        <Refusal notice/>
    }
    .into_any()
}

/// Asks the questions, and adds the results to those of this machine.
fn measure(
    session: Session,
    dial: Dial,
    task: &Arc<TaskFile>,
    patches: impl Fn(&FamilyCard) -> Vec<Patch> + Copy + 'static,
    status: RwSignal<RequestStatus>,
) {
    let chance = chance(task);
    let requested = dial.family.with_value(|family| {
        let patches = patches(family).into_iter();
        patches.map(|patch| (family.size(&patch), patch)).collect::<Vec<_>>()
    });
    let members = requested.iter().map(|(_, patch)| patch.clone()).collect();
    let question = Question::Measure { patches: members, task: (**task).clone() };
    let next = Cell::new(0);
    let on_answer = move |answer| {
        let index = next.get();
        if let (Answer::Measured(measured), Some((size, patch))) = (answer, requested.get(index)) {
            next.set(index + 1);
            let (patch, size) = (patch.clone(), *size);
            let here = MeasuredHere { patch, size, measured, chance };
            dial.measured_here.update(|all| here.put_into(all));
        }
    };
    // The button may be gone when the answer comes: then nothing is left to show.
    let on_end = move |end| {
        status.try_set(end);
    };
    if session.ask_model(move |_| question, on_answer, on_end) {
        status.set(RequestStatus::Running);
    }
}
