//! How well the size on the dial and both ends predict a paragraph: updated whenever the dial or the
//! paragraph changes.

use std::cell::Cell;
use std::time::Duration;

use boomerang_core::plan::Patch;
use boomerang_engine::messages::{Answer, Question};
use boomerang_engine::notice::Notice;
use leptos::prelude::*;

use super::notice_box::NoticeBox;
use super::scroll_table::ScrollTable;
use crate::family::FamilyCard;
use crate::state::dial::Dial;
use crate::state::lens::LensState;
use crate::state::paragraph_scores::{ParagraphScores, finding, perplexity};
use crate::state::request_status::RequestStatus;
use crate::state::session::{Session, Stage};
use crate::text::format;

/// A text that is being typed is not scored at every letter.
const REST: Duration = Duration::from_millis(300);

#[component]
pub fn Paragraph(
    session: Session,
    dial: Dial,
    state: LensState,
    /// The bundle's, once it is loaded.
    paragraph: Signal<Option<String>>,
) -> impl IntoView {
    let LensState { paragraph: typed, scores, .. } = state;
    let text = Memo::new(move |_| typed.get().or_else(|| paragraph.get()).unwrap_or_default());
    let refusal = RwSignal::new(None::<Notice>);
    let (student, teacher) = dial.family.with_value(|family| {
        let path = family.path();
        (path[0].clone(), path[family.last_stop()].clone())
    });
    let members = {
        let (student, teacher) = (student.clone(), teacher.clone());
        Signal::derive(move || [dial.patch.get(), student.clone(), teacher.clone()])
    };
    update_scores(session, text, members, scores, refusal);

    let score =
        move |patch: &Patch| text.with(|text| scores.with(|scores| scores.score(text, patch)));
    let words = move || {
        let [current, student, teacher] = members.get().map(|patch| score(&patch));
        finding(current, student, teacher).or_else(|| session.memory_summary().map(|it| it + "."))
    };
    let rows = move || {
        let [current, student, teacher] = members.get();
        let name = |patch: &Patch| dial.family.with_value(|family| family.stack(patch));
        let rows = [("Student", student), ("On the dial", current), ("Teacher", teacher)];
        rows.map(|(who, patch)| {
            let score = score(&patch);
            let is_here = who == "On the dial";
            // An empty text is not scored.
            let none = match text.with(|text| text.trim().is_empty()) {
                true => "–",
                false if session.fits(&patch) => "…",
                false => "too large",
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
        let [_, student, _] = members.get();
        let score = score(&student)?;
        Some(format!("{} are scored, all but the first.", format::count(score.n_tokens, "token")))
    };
    let is_own = move || typed.with(|typed| typed.is_some()) && paragraph.with(Option::is_some);
    let back = move || {
        is_own().then(|| view! {
            <button type="button" class="link" id="paragraph-back" on:click=move |_| typed.set(None)>
                "Back to the bundle's paragraph"
            </button>
        })
    };
    let again = move || {
        scores.with(ParagraphScores::has_failure).then(|| {
            view! {
                <button
                    type="button"
                    id="paragraph-again"
                    on:click=move |_| {
                        refusal.set(None);
                        scores.set(ParagraphScores::default());
                    }
                >
                    "Try again"
                </button>
            }
        })
    };
    view! {
        <div class="panel-head">
            <h2 id="paragraph-heading">"How well does each size predict this text?"</h2>
            <p class="quiet">
                "Loss on a text that is not in the training data. Turn the dial or click a block to \
                 see how it changes."
            </p>
        </div>
        <div class="paragraph-form">
            <label for="paragraph">"Text"</label>
            <textarea
                id="paragraph"
                rows="4"
                spellcheck="false"
                prop:value=text
                on:input=move |event| typed.set(Some(event_target_value(&event)))
            ></textarea>
        </div>
        <p role="status" id="paragraph-state">{words}</p>
        <ScrollTable label="Loss of each size">
            <table id="paragraph-table">
                <thead>
                    <tr>
                        <th scope="col">"Size"</th>
                        <th scope="col">"Layers"</th>
                        <th scope="col">"nats/token"</th>
                        <th scope="col">"Perplexity"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </ScrollTable>
        <p class="quiet">
            "nats/token: mean loss per token, lower is better. Perplexity: effective number of equally \
             likely tokens, exp(nats/token). " {n_tokens}
        </p>
        <div class="button-row">{back} {again}</div>
        {move || refusal.get().map(|notice| view! { <NoticeBox notice/> })}
    }
}

/// Requests missing scores after each change of the text or the members, while the engine is idle.
/// Members whose files are not loaded yet are skipped.
fn update_scores(
    session: Session,
    text: Memo<String>,
    members: Signal<[Patch; 3]>,
    scores: RwSignal<ParagraphScores>,
    refusal: RwSignal<Option<Notice>>,
) {
    let missing = Memo::new(move |_| {
        let loaded: Vec<Patch> = members.get().into();
        let loaded: Vec<Patch> =
            loaded.into_iter().filter(|patch| session.n_missing_bytes(patch) == 0).collect();
        text.with(|text| scores.with(|scores| scores.missing(text, &loaded)))
    });
    let mut request = debounce(REST, move |()| {
        let (text, patches) = (text.get_untracked(), missing.get_untracked());
        if patches.is_empty() {
            return;
        }
        let question = {
            let (patches, text) = (patches.clone(), text.clone());
            move |_: &FamilyCard| Question::Score { patches, text }
        };
        let n_scored = Cell::new(0);
        let on_answer = {
            let (patches, text) = (patches.clone(), text.clone());
            move |answer| {
                if let (Answer::Score(score), Some(patch)) = (answer, patches.get(n_scored.get())) {
                    n_scored.set(n_scored.get() + 1);
                    scores.update(|scores| scores.add(&text, patch.clone(), score));
                }
            }
        };
        let on_end = move |end: RequestStatus| {
            scores.update(|scores| scores.fail(&text, &patches));
            refusal.set(end.notice().cloned());
        };
        if session.ask_model(question, on_answer, on_end) {
            refusal.set(None);
        }
    });
    Effect::new(move |_| {
        let is_ready = session.stage.with(|stage| *stage == Stage::Ready);
        // Typing may leave the same members to score.
        text.track();
        if is_ready && missing.with(|missing| !missing.is_empty()) {
            request(());
        }
    });
}
