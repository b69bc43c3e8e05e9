//! How well a paragraph is expected by the size on the dial, and by both ends: read anew whenever the
//! dial or the paragraph changes.

use std::cell::Cell;
use std::time::Duration;

use boomerang_core::plan::Patch;
use boomerang_engine::messages::{Reply, Request};
use boomerang_engine::notice::Notice;
use leptos::prelude::*;

use super::notice_box::NoticeBox;
use crate::family::FamilyCard;
use crate::state::dial::Dial;
use crate::state::lens::LensState;
use crate::state::readings::{Readings, finding, perplexity};
use crate::state::request_status::Asked;
use crate::state::session::{Session, Stage};
use crate::text::format;

/// A text that is being typed is not read at every letter.
const REST: Duration = Duration::from_millis(300);

#[component]
pub fn Paragraph(
    session: Session,
    dial: Dial,
    state: LensState,
    /// The bundle's, once it is here.
    paragraph: Signal<Option<String>>,
) -> impl IntoView {
    let LensState { paragraph: typed, readings, .. } = state;
    let text = Memo::new(move |_| typed.get().or_else(|| paragraph.get()).unwrap_or_default());
    let refusal = RwSignal::new(None::<Notice>);
    let (student, teacher) = dial.family.with_value(|family| {
        let path = family.path();
        (path[0].clone(), path[family.last_stop()].clone())
    });
    let everyone = {
        let (student, teacher) = (student.clone(), teacher.clone());
        Signal::derive(move || [dial.patch.get(), student.clone(), teacher.clone()])
    };
    keep_reading(session, text, everyone, readings, refusal);

    let score = move |patch: &Patch| {
        text.with(|text| readings.with(|readings| readings.score(text, patch)))
    };
    let words = move || {
        let [here, student, teacher] = everyone.get().map(|patch| score(&patch));
        finding(here, student, teacher).or_else(|| session.room_in_words().map(|it| it + "."))
    };
    let rows = move || {
        let [here, student, teacher] = everyone.get();
        let name = |patch: &Patch| dial.family.with_value(|family| family.stack(patch));
        let rows = [("Student", student), ("On the dial", here), ("Teacher", teacher)];
        rows.map(|(who, patch)| {
            let score = score(&patch);
            let is_here = who == "On the dial";
            // Of a text that is not there, nothing is to come.
            let none = match text.with(|text| text.trim().is_empty()) {
                true => "–",
                false if session.has_room(&patch) => "…",
                false => "no room",
            };
            let number =
                |value: Option<f64>| value.map_or_else(|| none.to_owned(), |it| format!("{it:.3}"));
            view! {
                <tr class:is-here=is_here>
                    <th scope="row">{who}</th>
                    <td class="stack">{name(&patch)}</td>
                    <td class="nats">{number(score.map(|score| score.nats))}</td>
                    <td>{number(score.map(perplexity))}</td>
                </tr>
            }
        })
        .collect_view()
    };
    let n_tokens = move || {
        let [_, student, _] = everyone.get();
        let score = score(&student)?;
        Some(format!("{} are counted, all but the first.", format::count(score.n_tokens, "token")))
    };
    let is_own = move || typed.with(|typed| typed.is_some()) && paragraph.with(Option::is_some);
    let back = move || {
        is_own().then(|| view! {
            <button type="button" class="link" id="paragraph-back" on:click=move |_| typed.set(None)>
                "Back to the paragraph of the bundle"
            </button>
        })
    };
    let again = move || {
        readings.with(Readings::has_given_up).then(|| {
            view! {
                <button
                    type="button"
                    id="paragraph-again"
                    on:click=move |_| {
                        refusal.set(None);
                        readings.set(Readings::default());
                    }
                >
                    "Read it again"
                </button>
            }
        })
    };
    view! {
        <div class="panel-head">
            <h2 id="paragraph-heading">"How well is a paragraph expected?"</h2>
            <p class="quiet">
                "Every size reads the same text, which none has seen in training. Turn the dial or \
                 press a block, and see what it does."
            </p>
        </div>
        <div class="paragraph-form">
            <label for="paragraph">"Paragraph"</label>
            <textarea
                id="paragraph"
                rows="4"
                spellcheck="false"
                prop:value=text
                on:input=move |event| typed.set(Some(event_target_value(&event)))
            ></textarea>
        </div>
        <p role="status" id="paragraph-state">{words}</p>
        <div class="table-scroll" tabindex="0" role="region" aria-label="How well each size expects it">
            <table id="paragraph-table">
                <thead>
                    <tr>
                        <th scope="col">"Size"</th>
                        <th scope="col">"Layers"</th>
                        <th scope="col">"Nats per token"</th>
                        <th scope="col">"Perplexity"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        <p class="quiet">
            "Nats per token: how surprising a token is, on average; less is better. Perplexity: among \
             how many equally likely tokens such a reader would hesitate. " {n_tokens}
        </p>
        <div class="button-row">{back} {again}</div>
        {move || refusal.get().map(|notice| view! { <NoticeBox notice/> })}
    }
}

/// Has the text read by all who have not yet, whenever it or they have come to rest and the engine
/// has nothing else to do. Members whose files are still to come are not waited for.
fn keep_reading(
    session: Session,
    text: Memo<String>,
    everyone: Signal<[Patch; 3]>,
    readings: RwSignal<Readings>,
    refusal: RwSignal<Option<Notice>>,
) {
    let missing = Memo::new(move |_| {
        let here: Vec<Patch> = everyone.get().into();
        let here: Vec<Patch> =
            here.into_iter().filter(|patch| session.n_missing_bytes(patch) == 0).collect();
        text.with(|text| readings.with(|readings| readings.missing(text, &here)))
    });
    let mut read = debounce(REST, move |()| {
        let (text, patches) = (text.get_untracked(), missing.get_untracked());
        if patches.is_empty() {
            return;
        }
        let request = {
            let (patches, text) = (patches.clone(), text.clone());
            move |id, _: &FamilyCard| Request::Score { id, patches, text }
        };
        let n_read = Cell::new(0);
        let is_asked = session.consult(request, move |reply| {
            if let (Reply::Scored { score, .. }, Some(patch)) = (reply, patches.get(n_read.get())) {
                n_read.set(n_read.get() + 1);
                readings.update(|readings| readings.keep(&text, patch.clone(), *score));
            } else if let Some(after) = Asked::after(reply) {
                readings.update(|readings| readings.give_up(&text, &patches));
                refusal.set(after.notice().cloned());
            }
        });
        if is_asked {
            refusal.set(None);
        }
    });
    Effect::new(move |_| {
        let is_ready = session.stage.with(|stage| *stage == Stage::Ready);
        // A text that is being typed may leave the same members to read it.
        text.track();
        if is_ready && missing.with(|missing| !missing.is_empty()) {
            read(());
        }
    });
}
