//! Inside one size: the predictions of every layer, and how well it predicts a paragraph.

use boomerang_engine::messages::{Answer, LensLayer, LensReport, Question};
use leptos::prelude::*;

use super::ask_row::{AskRow, Refusal};
use super::download::data_url;
use super::paragraph::Paragraph;
use super::prompt_box::{Examples, PromptField};
use super::scroll_table::ScrollTable;
use crate::family::FamilyCard;
use crate::state::dial::Dial;
use crate::state::draft::Draft;
use crate::state::lens::{LensResult, LensState, csv, finding, settled};
use crate::state::prompt_size::PromptSize;
use crate::state::request_status::RequestStatus;
use crate::state::session::Session;
use crate::text::format;
use crate::text::tokens::visible;
use crate::text::visible::visible as shown_text;

#[component]
pub fn Lens(
    session: Session,
    dial: Dial,
    draft: Draft,
    state: LensState,
    /// The bundle's, once it is loaded.
    #[prop(into)]
    paragraph: Signal<Option<String>>,
) -> impl IntoView {
    view! {
        <section class="panel" aria-labelledby="lens-heading">
            <Layers session dial draft state/>
        </section>
        <section class="panel" aria-labelledby="paragraph-heading">
            <Paragraph session dial state paragraph/>
        </section>
    }
}

/// The predictions of every layer.
#[component]
fn Layers(session: Session, dial: Dial, draft: Draft, state: LensState) -> impl IntoView {
    let LensState { result, status, .. } = state;
    // With what was generated for it, as long as the prompt is not changed.
    let text = Memo::new(move |_| {
        let prompt = draft.prompt.get();
        let generated = session.run.with(|run| {
            let run = run.as_ref()?;
            let is_same = prompt.trim().is_empty() || run.prompt.last() == prompt;
            is_same.then(|| run.whole_text())
        });
        generated.unwrap_or(prompt)
    });
    let is_longer = Memo::new(move |_| text.get() != draft.prompt.get());
    let prompts = dial.family.with_value(|family| family.manifest().prompts.clone());
    let is_running = Memo::new(move |_| status.with(|status| status.is_running(session)));
    let length = PromptSize::of(session, dial, draft);
    let can_start = Memo::new(move |_| {
        let fits = length.get().problem().is_none();
        session.can_ask() && fits && text.with(|text| !text.trim().is_empty())
    });
    let start = move || {
        let (patch, text) = (dial.patch.get_untracked(), text.get_untracked());
        let n_layers = dial.size.get_untracked().n_layers;
        let question = {
            let patch = patch.clone();
            move |_: &FamilyCard| Question::Lens { patch, text }
        };
        let on_answer = move |answer| {
            if let Answer::Lens(report) = answer {
                result.set(Some(LensResult { patch: patch.clone(), n_layers, report }));
            }
        };
        if session.ask_model(question, on_answer, move |end| status.set(end)) {
            result.set(None);
            status.set(RequestStatus::Running);
        }
    };
    let submit = move || {
        if can_start.get_untracked() {
            start();
        }
    };
    let words = Memo::new(move |_| {
        let found = result.with(|result| result.as_ref().map(|result| finding(&result.report)));
        status.with(|status| match status {
            RequestStatus::NotStarted => String::new(),
            RequestStatus::Running if is_running.get() => {
                "Running the size and its teacher …".to_owned()
            }
            RequestStatus::Done => found.unwrap_or_default(),
            RequestStatus::Failed(_) => "Failed.".to_owned(),
            RequestStatus::Running | RequestStatus::Stopped => "Stopped.".to_owned(),
        })
    });
    let found = move || {
        result.with(|result| {
            result.as_ref().map(|result| view! { <Found result=result.clone() dial/> })
        })
    };
    let notice = Signal::derive(move || status.with(|status| status.notice().cloned()));
    let label = move || format!("Inspect {}", format::count(dial.size.get().n_layers, "layer"));
    view! {
        <div class="panel-head">
            <h2 id="lens-heading">"Inside one size"</h2>
            <p class="quiet">
                "The next token that each layer of the current size would predict if it were the last \
                 layer (logit lens)."
            </p>
        </div>
        <div class="prompt-form">
            <PromptField session dial draft length on_submit=submit/>
            <Examples prompts prompt=draft.prompt/>
        </div>
        <Show when=move || is_longer.get()>
            <p class="quiet">"Read with the text that was generated for this prompt:"</p>
            <p class="lens-text" id="lens-text">{move || text.with(|text| shown_text(text))}</p>
        </Show>
        <AskRow
            session
            id="lens"
            label=Signal::derive(label)
            can_start
            is_running
            on_start=start
            words=words
            needs_teacher=true
        />
        {found}
        <Refusal notice/>
    }
}

/// The table and its file, with a note if it is not for the size on the dial.
#[component]
fn Found(result: LensResult, dial: Dial) -> impl IntoView {
    let LensResult { patch, n_layers, report } = result;
    let is_other = Memo::new(move |_| dial.patch.with(|now| *now != patch));
    let other = move || {
        is_other.get().then(|| {
            let layers = format::count(n_layers, "layer");
            view! {
                <p class="quiet" id="lens-other">
                    {format!("These are the results for {layers}; the dial was turned since.")}
                </p>
            }
        })
    };
    let href = data_url("text/csv", &csv(&report));
    view! {
        {other}
        {table(&report)}
        <p class="saves"><a download="lens.csv" href=href>"Save as CSV"</a></p>
    }
}

/// Rows are layers in the order of the forward pass, columns the tokens of the text.
fn table(report: &LensReport) -> impl IntoView + use<> {
    let heads = report.tokens.iter().map(|text| view! { <th scope="col">{visible(text)}</th> });
    let heads = heads.collect_view();
    let settled = settled(report);
    let last = report.layers.len().saturating_sub(1);
    let rows = report.layers.iter().enumerate();
    let rows = rows.map(|(depth, layer)| row(depth, layer, &settled, depth == last)).collect_view();
    let before = (report.n_before > 0)
        .then(|| format!(" The first {} are not shown.", format::count(report.n_before, "token")));
    view! {
        <p class="quiet" id="lens-legend">
            "Most likely next token after each token, with its probability, from the embedding down \
             to the last layer. "
            <span class="settled-sign">"="</span>
            " marks predictions that no longer change. Similarity: cosine similarity of the layer's \
             output with the teacher's at the same depth (1 is identical)." {before}
        </p>
        <ScrollTable label="Predictions of every layer">
            <table class="lens" id="lens-table" aria-describedby="lens-legend">
                <thead>
                    <tr>
                        <th scope="col">"Layer"</th>
                        <th scope="col">"Similarity"</th>
                        {heads}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </ScrollTable>
    }
}

/// `settled` is the depth from which each prediction no longer changes.
fn row(depth: usize, layer: &LensLayer, settled: &[usize], is_last: bool) -> impl IntoView + use<> {
    let ids: Vec<String> = layer.guesses.iter().map(|guess| guess.token.to_string()).collect();
    let cells = layer.guesses.iter().zip(settled).map(|(guess, &at)| {
        // In the last row all are.
        let is_settled = at <= depth && !is_last;
        let sign = is_settled.then(|| view! { <span class="settled-sign">"= "</span> });
        view! {
            <td class:is-settled=is_settled>
                {sign} {visible(&guess.text)}
                <small>{format::whole_percent(guess.probability)}</small>
            </td>
        }
    });
    let width = format!("{:.1}%", layer.similarity.clamp(0.0, 1.0) * 100.0);
    view! {
        <tr data-token-ids=ids.join(",") class:is-last=is_last>
            <th scope="row">{layer.name.clone()}</th>
            <td class="alike">
                {format!("{:.2}", layer.similarity)}
                <span class="similarity-bar" aria-hidden="true"><span style:width=width></span></span>
            </td>
            {cells.collect_view()}
        </tr>
    }
}
