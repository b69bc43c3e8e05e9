//! Every size along the teacher's text: what each expects next, and where that is not what the
//! teacher expects. Where the teacher has no room, the largest size that has stands for it.

use leptos::prelude::*;

use super::ask_row::{AskRow, Refusal, stand_in_words};
use super::download::data_url;
use crate::state::dial::Dial;
use crate::state::draft::Draft;
use crate::state::session::Session;
use crate::state::trial::sweep::{csv, finding};
use crate::state::trial::{Part, Trial, TrialState};
use crate::text::format;
use crate::text::tokens::visible;

#[component]
pub fn Sweep(
    session: Session,
    dial: Dial,
    draft: Draft,
    /// Where the prompt is typed.
    children: Children,
) -> impl IntoView {
    let place = session.sweep;
    let last = Memo::new(move |_| dial.family.with_value(|family| session.last_roomy_stop(family)));
    let is_running = Memo::new(move |_| session.is_trying(place));
    let can_start = Memo::new(move |_| session.can_ask() && draft.has_prompt());
    let start = move || {
        let task = draft.task(dial);
        session.try_out(place, move |family| {
            Trial::of_readers(family, session.last_roomy_stop(family), task)
        });
    };
    let words = Memo::new(move |_| {
        let is_running = is_running.get();
        place.with(|trial| {
            let trial = trial.as_ref()?;
            let n_done = trial.parts.iter().filter(|part| !part.guesses.is_empty()).count();
            Some(match &trial.state {
                TrialState::Writing if is_running => {
                    format!("The {} writes …", trial.reference_name)
                }
                TrialState::Guessing if is_running => {
                    format!("{n_done} of {} …", format::count(trial.parts.len(), "size"))
                }
                TrialState::Whole => finding(trial).unwrap_or_default(),
                TrialState::Failed(_) => "Nothing was swept.".to_owned(),
                _ => "Stopped.".to_owned(),
            })
        })
    });
    // While the first one writes, there is no row yet, and its tokens need not be drawn one by one.
    let n_rows = Memo::new(move |_| {
        place.with(|trial| {
            let parts = trial.as_ref().map(|trial| trial.parts.as_slice()).unwrap_or_default();
            parts.iter().filter(|part| !part.guesses.is_empty()).count()
        })
    });
    let table =
        move || (n_rows.get() > 0).then(|| place.with_untracked(|trial| trial.as_ref().map(table)));
    let save = move || {
        let is_whole = |trial: &&Trial| trial.state == TrialState::Whole;
        place.with(|trial| {
            let href = data_url("text/csv", &csv(trial.as_ref().filter(is_whole)?));
            Some(view! {
                <p class="saves"><a download="sweep.csv" href=href>"Save as CSV"</a></p>
            })
        })
    };
    let notice =
        Signal::derive(move || place.with(|trial| trial.as_ref()?.state.notice().cloned()));
    view! {
        <div class="panel-head">
            <h1 id="sweep-heading">"All sizes at once"</h1>
            <p class="quiet">
                "The teacher continues a beginning; then every size reads its text and says, \
                 word by word, what it would have expected next."
            </p>
        </div>
        {children()}
        <AskRow
            session
            id="sweep"
            label=Signal::derive(move || format!("Ask all {}", format::count(last.get() + 1, "size")))
            can_start
            is_running
            on_start=start
            words=Signal::derive(move || words.get().unwrap_or_else(|| stand_in_words(session)))
        />
        {table}
        {save}
        <Refusal notice/>
    }
}

/// Rows are sizes, columns the places of the reference's text.
fn table(trial: &Trial) -> impl IntoView + use<> {
    let n_places = trial.parts.iter().map(|part| part.guesses.len()).max().unwrap_or(0);
    let reference = trial.reference_name;
    let pieces = trial.reference().run.as_ref().map(|run| run.pieces.clone()).unwrap_or_default();
    let heads = (0..n_places).map(|place| {
        let text =
            pieces.get(place).map_or_else(|| "next".to_owned(), |piece| visible(&piece.text));
        view! { <th scope="col">{text}</th> }
    });
    let rows = trial.parts.iter().filter(|part| !part.guesses.is_empty());
    let rows = rows.map(|part| row(trial, part)).collect_view();
    view! {
        <p class="quiet" id="sweep-legend">
            "Likeliest next token of each size, with its probability. "
            <span class="flip-sign">"≠"</span>
            {format!(
                " marks what the {reference} does not expect. The head of the table is the text of \
                 the {reference}; a dot is a blank."
            )}
        </p>
        <div class="table-scroll" tabindex="0" role="region" aria-label="What every size expects">
            <table class="sweep" id="sweep-table" aria-describedby="sweep-legend">
                <thead>
                    <tr>
                        <th scope="col">"Layers"</th>
                        <th scope="col">"Agrees"</th>
                        {heads.collect_view()}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn row(trial: &Trial, part: &Part) -> impl IntoView + use<> {
    let expected = &trial.reference().guesses;
    let same = trial.nearness(part).map(|near| format!("{}/{}", near.n_agreeing, near.n_places));
    let cells = part.guesses.iter().enumerate().map(|(place, told)| {
        let differs = expected.get(place).is_some_and(|it| it.guess.token != told.guess.token);
        let sign = differs.then(|| view! { <span class="flip-sign">"≠ "</span> });
        view! {
            <td class:flips=differs>
                {sign} {visible(&told.text)}
                <small>{format::whole_percent(told.guess.probability)}</small>
            </td>
        }
    });
    view! {
        <tr>
            <th scope="row">{part.size.n_layers}</th>
            <td>{same}</td>
            {cells.collect_view()}
        </tr>
    }
}
