//! Inside one size: what every layer would write next, and how well a paragraph is expected.

use boomerang_engine::messages::{LensLayer, LensReport, Reply, Request};
use leptos::prelude::*;

use super::ask_row::{AskRow, Refusal};
use super::download::data_url;
use super::paragraph::Paragraph;
use crate::family::FamilyCard;
use crate::state::dial::Dial;
use crate::state::draft::Draft;
use crate::state::lens::{LensState, Look, csv, finding, settled};
use crate::state::request_status::Asked;
use crate::state::session::Session;
use crate::text::format;
use crate::text::tokens::visible;

#[component]
pub fn Lens(
    session: Session,
    dial: Dial,
    draft: Draft,
    state: LensState,
    /// The bundle's, once it is here.
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

/// What every layer would write next.
#[component]
fn Layers(session: Session, dial: Dial, draft: Draft, state: LensState) -> impl IntoView {
    let LensState { look, asked, .. } = state;
    // The last text, or the beginning of the next one.
    let text = Memo::new(move |_| {
        let written =
            session.run.with(|run| run.as_ref().map(|run| run.prompt.clone() + &run.text()));
        written.unwrap_or_else(|| draft.prompt.get())
    });
    let is_running = Memo::new(move |_| asked.with(|asked| asked.is_running(session)));
    let can_start =
        Memo::new(move |_| session.can_ask() && text.with(|text| !text.trim().is_empty()));
    let start = move || {
        let (patch, text) = (dial.patch.get_untracked(), text.get_untracked());
        let n_layers = dial.size.get_untracked().n_layers;
        let request = {
            let patch = patch.clone();
            move |id, _: &FamilyCard| Request::Lens { id, patch, text }
        };
        let is_asked = session.consult(request, move |reply| {
            if let Reply::Lens { lens, .. } = reply {
                let (patch, report) = (patch.clone(), lens.clone());
                look.set(Some(Look { patch, n_layers, report }));
            } else if let Some(after) = Asked::after(reply) {
                asked.set(after);
            }
        });
        if is_asked {
            look.set(None);
            asked.set(Asked::Running);
        }
    };
    let words = Memo::new(move |_| {
        let found = look.with(|look| look.as_ref().map(|look| finding(&look.report)));
        asked.with(|asked| match asked {
            Asked::NotYet => String::new(),
            Asked::Running if is_running.get() => "The size and its teacher read …".to_owned(),
            Asked::Whole => found.unwrap_or_default(),
            Asked::Failed(_) => "Nothing was read.".to_owned(),
            Asked::Running | Asked::Stopped => "Stopped.".to_owned(),
        })
    });
    let found = move || {
        look.with(|look| look.as_ref().map(|look| view! { <Found look=look.clone() dial/> }))
    };
    let notice = Signal::derive(move || asked.with(|asked| asked.notice().cloned()));
    let label = move || format!("Look into {}", format::count(dial.size.get().n_layers, "layer"));
    view! {
        <div class="panel-head">
            <h2 id="lens-heading">"Inside one size"</h2>
            <p class="quiet">
                "The size on the dial reads a text, and each of its layers says what it would write \
                 next, were it the last one."
            </p>
        </div>
        <p class="lens-text" id="lens-text">{text}</p>
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

/// The table and its file, with a word where it is not of the size on the dial.
#[component]
fn Found(look: Look, dial: Dial) -> impl IntoView {
    let Look { patch, n_layers, report } = look;
    let is_other = Memo::new(move |_| dial.patch.with(|here| *here != patch));
    let other = move || {
        is_other.get().then(|| {
            let layers = format::count(n_layers, "layer");
            view! {
                <p class="quiet" id="lens-other">
                    {format!("This is the size of {layers} that was asked; the dial stands elsewhere now.")}
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

/// Rows are layers in the order in which the text goes through them, columns the places of the text.
fn table(report: &LensReport) -> impl IntoView + use<> {
    let heads = report.places.iter().map(|text| view! { <th scope="col">{visible(text)}</th> });
    let settled = settled(report);
    let last = report.layers.len().saturating_sub(1);
    let rows = report.layers.iter().enumerate();
    let rows = rows.map(|(depth, layer)| row(depth, layer, &settled, depth == last)).collect_view();
    let before = (report.n_before > 0).then(|| {
        format!(
            " The table begins after {} that were read too.",
            format::count(report.n_before, "token")
        )
    });
    view! {
        <p class="quiet" id="lens-legend">
            "Likeliest next token after each word, with its probability, from the text down to the \
             last layer. "
            <span class="settled-sign">"="</span>
            " marks what stays until the last layer. Alike: how near the layer's output is to the \
             teacher's at the same depth (cosine, 1 is the same)." {before}
        </p>
        <div class="table-scroll" tabindex="0" role="region" aria-label="What every layer would write">
            <table class="lens" id="lens-table" aria-describedby="lens-legend">
                <thead>
                    <tr>
                        <th scope="col">"Layer"</th>
                        <th scope="col">"Alike"</th>
                        {heads.collect_view()}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

/// `settled` is the depth at which each place no longer changes.
fn row(depth: usize, layer: &LensLayer, settled: &[usize], is_last: bool) -> impl IntoView + use<> {
    let ids: Vec<String> = layer.guesses.iter().map(|guess| guess.token.to_string()).collect();
    let cells = layer.guesses.iter().zip(settled).map(|(guess, &at)| {
        // In the last row it would stand everywhere.
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
