//! Every size along the teacher's text: the prediction of each, and where it differs from the
//! teacher's. If the teacher does not fit in memory, the largest size that does replaces it.

use leptos::prelude::*;

use super::ask_row::{AskRow, Refusal, substitute_in_words};
use super::download::data_url;
use super::scroll_table::ScrollTable;
use crate::state::dial::Dial;
use crate::state::draft::Draft;
use crate::state::prompt_size::PromptSize;
use crate::state::session::{Session, TrialSlot};
use crate::state::trial::sweep::{csv, finding};
use crate::state::trial::{Trial, TrialMember, TrialState};
use crate::text::format;
use crate::text::tokens::visible;

#[component]
pub fn Sweep(
    session: Session,
    dial: Dial,
    draft: Draft,
    /// Of the prompt.
    length: Memo<PromptSize>,
    /// The field for the prompt.
    children: Children,
) -> impl IntoView {
    let trial = session.trial(TrialSlot::Sweep);
    let last =
        Memo::new(move |_| dial.family.with_value(|family| session.last_fitting_stop(family)));
    let is_running = Memo::new(move |_| session.is_trying(TrialSlot::Sweep));
    let can_start = Memo::new(move |_| {
        session.can_ask() && draft.has_prompt() && length.get().problem().is_none()
    });
    let start = move || {
        let task = draft.task_alone(dial);
        session.start_trial(TrialSlot::Sweep, move |family| {
            Trial::sweep(family, session.last_fitting_stop(family), task)
        });
    };
    let words = Memo::new(move |_| {
        let is_running = is_running.get();
        trial.with(|trial| {
            let trial = trial.as_ref()?;
            let n_done = trial.members.iter().filter(|member| !member.guesses.is_empty()).count();
            Some(match &trial.state {
                TrialState::Generating if is_running => {
                    format!("Generating with the {} …", trial.reference_name)
                }
                TrialState::Predicting if is_running => {
                    format!("{n_done} of {} …", format::count(trial.members.len(), "size"))
                }
                TrialState::Done => finding(trial).unwrap_or_default(),
                TrialState::Failed(_) => "Failed.".to_owned(),
                _ => "Stopped.".to_owned(),
            })
        })
    });
    // While the reference generates there are no rows, and its tokens are not drawn one by one.
    let n_rows = Memo::new(move |_| {
        trial.with(|trial| {
            let members = trial.as_ref().map(|trial| trial.members.as_slice()).unwrap_or_default();
            members.iter().filter(|member| !member.guesses.is_empty()).count()
        })
    });
    let table =
        move || (n_rows.get() > 0).then(|| trial.with_untracked(|trial| trial.as_ref().map(table)));
    let save = move || {
        let is_done = |trial: &&Trial| trial.state == TrialState::Done;
        trial.with(|trial| {
            let href = data_url("text/csv", &csv(trial.as_ref().filter(is_done)?));
            Some(view! {
                <p class="saves"><a download="sweep.csv" href=href>"Save as CSV"</a></p>
            })
        })
    };
    let notice =
        Signal::derive(move || trial.with(|trial| trial.as_ref()?.state.notice().cloned()));
    view! {
        <div class="panel-head">
            <h1 id="sweep-heading">"All sizes at once"</h1>
            <p class="quiet">
                "The teacher continues a prompt; then the next-token predictions of every size along \
                 its text are compared."
            </p>
        </div>
        {children()}
        <AskRow
            session
            id="sweep"
            label=Signal::derive(move || format!("Run all {}", format::count(last.get() + 1, "size")))
            can_start
            is_running
            on_start=start
            words=Signal::derive(move || words.get().unwrap_or_else(|| substitute_in_words(session)))
        />
        {table}
        {save}
        <Refusal notice/>
    }
}

/// Rows are sizes, columns the tokens of the reference's text.
fn table(trial: &Trial) -> impl IntoView + use<> {
    let n_tokens = trial.members.iter().map(|member| member.guesses.len()).max().unwrap_or(0);
    let reference = trial.reference_name;
    let pieces = trial.reference().run.as_ref().map(|run| run.pieces.clone()).unwrap_or_default();
    let heads = (0..n_tokens).map(|index| {
        let text =
            pieces.get(index).map_or_else(|| "next".to_owned(), |piece| visible(&piece.text));
        view! { <th scope="col">{text}</th> }
    });
    let heads = heads.collect_view();
    let rows = trial.members.iter().filter(|member| !member.guesses.is_empty());
    let rows = rows.map(|member| row(trial, member)).collect_view();
    view! {
        <p class="quiet" id="sweep-legend">
            "Most likely next token of each size, with its probability. "
            <span class="flip-sign">"≠"</span>
            {format!(
                " marks predictions that differ from the {reference}'s. The header of the table is \
                 the text of the {reference}; a dot is a space."
            )}
        </p>
        <ScrollTable label="Predictions of every size">
            <table class="sweep" id="sweep-table" aria-describedby="sweep-legend">
                <thead>
                    <tr>
                        <th scope="col">"Layers"</th>
                        <th scope="col">"Agreement"</th>
                        {heads}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </ScrollTable>
    }
}

fn row(trial: &Trial, member: &TrialMember) -> impl IntoView + use<> {
    let expected = &trial.reference().guesses;
    let same = trial.agreement(member).map(|it| format!("{}/{}", it.n_agreeing, it.n_tokens));
    let cells = member.guesses.iter().enumerate().map(|(index, guessed)| {
        let token = guessed.guess.token;
        let differs = expected.get(index).is_some_and(|it| it.guess.token != token);
        let sign = differs.then(|| view! { <span class="flip-sign">"≠ "</span> });
        view! {
            <td class:flips=differs>
                {sign} {visible(&guessed.text)}
                <small>{format::whole_percent(guessed.guess.probability)}</small>
            </td>
        }
    });
    view! {
        <tr>
            <th scope="row">{member.size.n_layers}</th>
            <td>{same}</td>
            {cells.collect_view()}
        </tr>
    }
}
