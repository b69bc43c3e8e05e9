//! The same prompt and the same draw at two to four sizes, side by side.

use leptos::prelude::*;

use super::ask_row::{AskRow, Refusal, stand_in_words};
use super::marked::Marked;
use crate::state::dial::Dial;
use crate::state::draft::Draft;
use crate::state::run::Run;
use crate::state::session::Session;
use crate::state::trial::{Nearness, Part, Trial, TrialState};
use crate::text::difference::{differing, parting, stretches};
use crate::text::format;
use crate::text::link::MOST_COMPARED;

#[component]
pub fn Compare(
    session: Session,
    dial: Dial,
    draft: Draft,
    /// Stops of the dial, ascending.
    compared: RwSignal<Vec<usize>>,
    /// Where the prompt is typed.
    children: Children,
) -> impl IntoView {
    let place = session.comparison;
    let last = Memo::new(move |_| dial.family.with_value(|family| session.last_roomy_stop(family)));
    let n_chosen = Memo::new(move |_| {
        compared.with(|stops| stops.iter().filter(|&&stop| stop <= last.get()).count())
    });
    let is_running = Memo::new(move |_| session.is_trying(place));
    let can_start =
        Memo::new(move |_| session.can_ask() && draft.has_prompt() && n_chosen.get() >= 2);
    let start = move || {
        let stops = compared.get_untracked();
        let task = draft.task(dial);
        session.try_out(place, move |family| {
            Trial::of_writers(family, &stops, session.last_roomy_stop(family), task)
        });
    };
    let columns = move || {
        place.with(|trial| {
            let trial = trial.as_ref()?;
            let shown = trial.parts.iter().filter(|part| part.is_shown);
            Some(shown.map(|part| column(trial, part)).collect_view())
        })
    };
    let words = Memo::new(move |_| {
        let is_running = is_running.get();
        place.with(|trial| trial.as_ref().map(|trial| state_in_words(trial, is_running)))
    });
    let label = move || format!("Write at {}", format::count(n_chosen.get(), "size"));
    let notice =
        Signal::derive(move || place.with(|trial| trial.as_ref()?.state.notice().cloned()));
    view! {
        <div class="panel-head">
            <h1 id="compare-heading">"Sizes side by side"</h1>
            <p class="quiet">
                "One beginning, continued at two to four sizes, with the same draw of chance."
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
            words=Signal::derive(move || words.get().unwrap_or_else(|| stand_in_words(session)))
            is_quiet=true
        />
        <div class="columns" id="columns" aria-busy=move || is_running.get().to_string()>
            {columns}
        </div>
        <Refusal notice/>
    }
}

/// The sizes to choose from; at most four, at least two.
#[component]
fn Sizes(
    dial: Dial,
    compared: RwSignal<Vec<usize>>,
    /// The largest stop that has room.
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
        let has_room = move || stop <= last.get();
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
                    disabled=move || !is_chosen() && (!has_room() || is_full())
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
        TrialState::Writing if is_running => format!("Writing, the {reference} first …"),
        TrialState::Guessing if is_running => format!("All read the text of the {reference} …"),
        TrialState::Whole => {
            format!("Done. Marked words are not in the text of the {reference}.")
        }
        TrialState::Failed(_) => "Not written.".to_owned(),
        TrialState::Writing | TrialState::Guessing | TrialState::Stopped => "Stopped.".to_owned(),
    }
}

/// What one size wrote, and how near it comes to the reference.
fn column(trial: &Trial, part: &Part) -> impl IntoView + use<> {
    let is_reference = part.patch == trial.reference().patch;
    let name = trial.reference_name;
    let tokens = part.run.as_ref().map(Run::tokens).unwrap_or_default();
    let reference = trial.reference_tokens();
    let differs = differing(&tokens, &reference);
    let pieces = part.run.iter().flat_map(|run| &run.pieces).map(|piece| piece.text.as_str());
    let stretches = stretches(pieces, &differs);
    let token_ids = part.run.as_ref().map(Run::token_ids).unwrap_or_default();
    let told_name = if is_reference { format!(" ({name})") } else { String::new() };
    let is_written = part.run.is_some() && !part.is_writing();
    let comparison = match (is_reference, is_written) {
        (true, _) => Some("The others are compared with this text.".to_owned()),
        (false, true) => Some(parting_in_words(&tokens, &reference, name)),
        (false, false) => None,
    };
    let nearness = trial.nearness(part).filter(|_| !is_reference);
    view! {
        <article
            class="column"
            class:is-writing=part.is_writing()
            data-layers=part.size.n_layers.to_string()
            data-token-ids=token_ids
        >
            <h2>
                {format::count(part.size.n_layers, "layer")} {told_name}
                <small>" " {format::params(part.size.n_params)} " parameters"</small>
            </h2>
            <p class="column-text">
                <span class="output-prompt">{trial.prompt().to_owned()}</span>
                <Marked stretches/>
            </p>
            <p class="quiet">{comparison}</p>
            {nearness.map(|nearness| view! { <NearnessWords nearness name/> })}
        </article>
    }
}

/// `name` is the reference's.
fn parting_in_words(tokens: &[u32], reference: &[u32], name: &str) -> String {
    match parting(tokens, reference) {
        None => format!("The same text as that of the {name}."),
        Some(0) => format!("Parts from the {name} at once."),
        Some(n_same) => format!("Parts from the {name} after {}.", format::count(n_same, "token")),
    }
}

#[component]
fn NearnessWords(nearness: Nearness, name: &'static str) -> impl IntoView {
    let Nearness { n_places, n_agreeing, kl } = nearness;
    view! {
        <dl class="nearness">
            <div>
                <dt>{format!("Expects the next token of the {name}")}</dt>
                <dd class="agreement">
                    {format!("at {n_agreeing} of {}", format::count(n_places, "place"))}
                </dd>
            </div>
            <div>
                <dt>{format!("Distance from the {name}")}</dt>
                <dd class="kl">
                    {format!("{kl:.4} nats")} <small>" (mean KL along its text)"</small>
                </dd>
            </div>
        </dl>
    }
}
