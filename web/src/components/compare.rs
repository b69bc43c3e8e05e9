//! The same prompt and the same random seed at two to four sizes, side by side.

use leptos::prelude::*;

use super::ask_row::{AskRow, Refusal, substitute_in_words};
use super::download::data_url;
use super::marked::Marked;
use crate::state::dial::Dial;
use crate::state::draft::Draft;
use crate::state::prompt_size::PromptSize;
use crate::state::run::Run;
use crate::state::session::{Session, TrialSlot};
use crate::state::trial::comparison::{csv, markdown};
use crate::state::trial::{Agreement, Trial, TrialMember, TrialState};
use crate::text::difference::{differing, divergence, stretches};
use crate::text::format;
use crate::text::link::MOST_COMPARED;
use crate::text::visible::visible;

#[component]
pub fn Compare(
    session: Session,
    dial: Dial,
    draft: Draft,
    /// Stops of the dial, ascending.
    compared: RwSignal<Vec<usize>>,
    /// Of the prompt.
    length: Memo<PromptSize>,
    /// The field for the prompt.
    children: Children,
) -> impl IntoView {
    let trial = session.trial(TrialSlot::Comparison);
    let last =
        Memo::new(move |_| dial.family.with_value(|family| session.last_fitting_stop(family)));
    let n_chosen = Memo::new(move |_| {
        compared.with(|stops| stops.iter().filter(|&&stop| stop <= last.get()).count())
    });
    let is_running = Memo::new(move |_| session.is_trying(TrialSlot::Comparison));
    let can_start = Memo::new(move |_| {
        let fits = length.get().problem().is_none();
        session.can_ask() && draft.has_prompt() && fits && n_chosen.get() >= 2
    });
    let start = move || {
        let stops = compared.get_untracked();
        let task = draft.task_alone(dial);
        session.start_trial(TrialSlot::Comparison, move |family| {
            Trial::comparison(family, &stops, session.last_fitting_stop(family), task)
        });
    };
    let columns = move || {
        trial.with(|trial| {
            let trial = trial.as_ref()?;
            let shown = trial.members.iter().filter(|member| member.is_shown);
            Some(shown.map(|member| column(trial, member)).collect_view())
        })
    };
    let save = move || {
        trial.with(|trial| {
            let trial = trial.as_ref().filter(|trial| trial.state == TrialState::Done)?;
            let file = |name: &'static str, kind: &str, text: &str, words: &'static str| {
                view! { <a download=name href=data_url(kind, text)>{words}</a> }
            };
            Some(view! {
                <p class="saves">
                    {file("compare.csv", "text/csv", &csv(trial), "Save as CSV")}
                    {file("compare.md", "text/markdown", &markdown(trial), "Save as Markdown")}
                </p>
            })
        })
    };
    let words = Memo::new(move |_| {
        let is_running = is_running.get();
        trial.with(|trial| trial.as_ref().map(|trial| state_in_words(trial, is_running)))
    });
    let label = move || format!("Generate at {}", format::count(n_chosen.get(), "size"));
    let notice =
        Signal::derive(move || trial.with(|trial| trial.as_ref()?.state.notice().cloned()));
    view! {
        <div class="panel-head">
            <h1 id="compare-heading">"Sizes side by side"</h1>
            <p class="quiet">
                "One prompt, continued at two to four sizes, with the same random seed."
            </p>
        </div>
        {children()}
        <Sizes dial compared last n_chosen/>
        <AskRow
            session
            id="compare"
            label=Signal::derive(label)
            can_start
            is_running
            on_start=start
            words=Signal::derive(move || words.get().unwrap_or_else(|| substitute_in_words(session)))
            is_quiet=true
        />
        <div class="columns" id="columns" aria-busy=move || is_running.get().to_string()>
            {columns}
        </div>
        {save}
        <Refusal notice/>
    }
}

/// The sizes to choose from; at most four, at least two.
#[component]
fn Sizes(
    dial: Dial,
    compared: RwSignal<Vec<usize>>,
    /// The largest stop that fits in memory.
    last: Memo<usize>,
    /// Of those up to it.
    n_chosen: Memo<usize>,
) -> impl IntoView {
    let sizes: Vec<usize> = dial.family.with_value(|family| {
        family.path().iter().map(|patch| family.size(patch).n_layers).collect()
    });
    let teacher = sizes.len() - 1;
    let size = move |(stop, n_layers): (usize, usize)| {
        let is_chosen = move || compared.with(|stops| stops.contains(&stop));
        let is_full = move || n_chosen.get() >= MOST_COMPARED;
        let fits = move || stop <= last.get();
        let choose = move |_| {
            compared.update(|stops| match stops.iter().position(|&chosen| chosen == stop) {
                Some(at) => {
                    stops.remove(at);
                }
                None => {
                    stops.push(stop);
                    stops.sort_unstable();
                }
            });
        };
        let name = match stop {
            0 => " (student)",
            stop if stop == teacher => " (teacher)",
            _ => "",
        };
        view! {
            <label class="size-option">
                <input
                    type="checkbox"
                    value=stop.to_string()
                    prop:checked=is_chosen
                    disabled=move || !is_chosen() && (!fits() || is_full())
                    on:change=choose
                />
                <span>{n_layers}{name}</span>
            </label>
        }
    };
    view! {
        <fieldset class="sizes">
            <legend>"Layers"</legend>
            {sizes.into_iter().enumerate().map(size).collect_view()}
        </fieldset>
    }
}

fn state_in_words(trial: &Trial, is_running: bool) -> String {
    let reference = trial.reference_name;
    match trial.state {
        TrialState::Generating if is_running => format!("Generating, the {reference} first …"),
        TrialState::Predicting if is_running => {
            format!("Comparing predictions along the text of the {reference} …")
        }
        TrialState::Done => {
            format!("Done. Marked words are not in the text of the {reference}.")
        }
        TrialState::Failed(_) => "Failed.".to_owned(),
        TrialState::Generating | TrialState::Predicting | TrialState::Stopped => {
            "Stopped.".to_owned()
        }
    }
}

/// The text of one size, and its agreement with the reference.
fn column(trial: &Trial, member: &TrialMember) -> impl IntoView + use<> {
    let is_reference = member.patch == trial.reference().patch;
    let name = trial.reference_name;
    let tokens = member.run.as_ref().map(Run::tokens).unwrap_or_default();
    let reference = trial.reference_tokens();
    let differs = differing(&tokens, &reference);
    let pieces = member.run.iter().flat_map(|run| &run.pieces).map(|piece| piece.text.as_str());
    let stretches = stretches(pieces, &differs);
    let token_ids = member.run.as_ref().map(Run::token_ids).unwrap_or_default();
    let role = if is_reference { format!(" ({name})") } else { String::new() };
    let is_done = member.run.is_some() && !member.is_generating();
    let comparison = match (is_reference, is_done) {
        (true, _) => Some("The others are compared with this text.".to_owned()),
        (false, true) => Some(divergence_in_words(&tokens, &reference, name)),
        (false, false) => None,
    };
    let agreement = trial.agreement(member).filter(|_| !is_reference);
    view! {
        <article
            class="column"
            class:is-writing=member.is_generating()
            data-layers=member.size.n_layers.to_string()
            data-token-ids=token_ids
        >
            <h2>
                {format::count(member.size.n_layers, "layer")} {role}
                <small>" " {format::params(member.size.n_params)} " parameters"</small>
            </h2>
            <p class="column-text">
                <span class="output-prompt">{visible(&trial.prompt().before_text())}</span>
                <Marked stretches/>
            </p>
            <p class="quiet">{comparison}</p>
            {agreement.map(|agreement| view! { <AgreementNumbers agreement name/> })}
        </article>
    }
}

/// `name` is the reference's.
fn divergence_in_words(tokens: &[u32], reference: &[u32], name: &str) -> String {
    match divergence(tokens, reference) {
        None => format!("Same text as the {name}."),
        Some(0) => format!("Diverges from the {name} at the first token."),
        Some(n_same) => {
            format!("Diverges from the {name} after {}.", format::count(n_same, "token"))
        }
    }
}

#[component]
fn AgreementNumbers(agreement: Agreement, name: &'static str) -> impl IntoView {
    let Agreement { n_tokens, n_agreeing, kl } = agreement;
    view! {
        <dl class="nearness">
            <div>
                <dt>{format!("Top-1 agreement with the {name}")}</dt>
                <dd class="agreement">
                    {format!("{n_agreeing} of {}", format::count(n_tokens, "token"))}
                </dd>
            </div>
            <div>
                <dt>{format!("KL divergence from the {name}")}</dt>
                <dd class="kl">
                    {format!("{kl:.4} nats")} <small>" (mean along its text)"</small>
                </dd>
            </div>
        </dl>
    }
}
