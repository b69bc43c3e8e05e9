//! The same prompt and the same draw at two to four sizes, side by side.

use leptos::prelude::*;

use super::ask_row::{AskRow, Refusal};
use super::marked::Marked;
use crate::dial::Dial;
use crate::difference::{differing, parting, stretches};
use crate::draft::Draft;
use crate::format;
use crate::link::MOST_COMPARED;
use crate::run::Run;
use crate::session::Session;
use crate::trial::{Nearness, Part, Trial, TrialState};

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
    let is_running = Memo::new(move |_| session.is_trying(place));
    let can_start = Memo::new(move |_| {
        session.can_ask() && draft.has_prompt() && compared.with(|stops| stops.len() >= 2)
    });
    let start = move || {
        let stops = compared.get_untracked();
        let trial =
            dial.family.with_value(|family| Trial::of_writers(family, &stops, draft.task(dial)));
        session.try_out(place, trial);
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
    let label = move || format!("Write at {}", format::count(compared.with(Vec::len), "size"));
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
        <Sizes dial compared/>
        <AskRow
            session
            id="compare"
            label=Signal::derive(label)
            can_start
            is_running
            on_start=start
            words=Signal::derive(move || words.get().unwrap_or_default().to_owned())
            is_quiet=true
            needs_teacher=true
        />
        <div class="columns" id="columns" aria-busy=move || is_running.get().to_string()>
            {columns}
        </div>
        <Refusal notice/>
    }
}

/// The sizes to choose from; at most four, at least two.
#[component]
fn Sizes(dial: Dial, compared: RwSignal<Vec<usize>>) -> impl IntoView {
    let sizes: Vec<usize> = dial.family.with_value(|family| {
        family.path().iter().map(|patch| family.size(patch).n_layers).collect()
    });
    let last = sizes.len() - 1;
    let size = move |(stop, n_layers): (usize, usize)| {
        let is_chosen = move || compared.with(|stops| stops.contains(&stop));
        let is_full = move || compared.with(|stops| stops.len() >= MOST_COMPARED);
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
            stop if stop == last => " (teacher)",
            _ => "",
        };
        view! {
            <label class="size-option">
                <input
                    type="checkbox"
                    value=stop.to_string()
                    prop:checked=is_chosen
                    disabled=move || !is_chosen() && is_full()
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

fn state_in_words(trial: &Trial, is_running: bool) -> &'static str {
    match trial.state {
        TrialState::Writing if is_running => "Writing, the teacher first …",
        TrialState::Guessing if is_running => "All read the teacher's text …",
        TrialState::Whole => "Done. Marked words are not in the teacher's text.",
        TrialState::Failed(_) => "Not written.",
        TrialState::Writing | TrialState::Guessing | TrialState::Stopped => "Stopped.",
    }
}

/// What one size wrote, and how near it comes to the teacher.
fn column(trial: &Trial, part: &Part) -> impl IntoView + use<> {
    let is_teacher = part.patch == trial.teacher().patch;
    let tokens = part.run.as_ref().map(Run::tokens).unwrap_or_default();
    let reference = trial.teacher_tokens();
    let differs = differing(&tokens, &reference);
    let pieces = part.run.iter().flat_map(|run| &run.pieces).map(|piece| piece.text.as_str());
    let stretches = stretches(pieces, &differs);
    let token_ids = part.run.as_ref().map(Run::token_ids).unwrap_or_default();
    let name = if is_teacher { " (teacher)" } else { "" };
    let is_written = part.run.is_some() && !part.is_writing();
    let comparison = match (is_teacher, is_written) {
        (true, _) => Some("The others are compared with this text.".to_owned()),
        (false, true) => Some(parting_in_words(&tokens, &reference)),
        (false, false) => None,
    };
    let nearness = trial.nearness(part).filter(|_| !is_teacher);
    view! {
        <article
            class="column"
            class:is-writing=part.is_writing()
            data-layers=part.size.n_layers.to_string()
            data-token-ids=token_ids
        >
            <h2>
                {format::count(part.size.n_layers, "layer")} {name}
                <small>" " {format::params(part.size.n_params)} " parameters"</small>
            </h2>
            <p class="column-text">
                <span class="output-prompt">{trial.prompt().to_owned()}</span>
                <Marked stretches/>
            </p>
            <p class="quiet">{comparison}</p>
            {nearness.map(|nearness| view! { <NearnessWords nearness/> })}
        </article>
    }
}

fn parting_in_words(tokens: &[u32], reference: &[u32]) -> String {
    match parting(tokens, reference) {
        None => "The same text as the teacher's.".to_owned(),
        Some(0) => "Parts from the teacher at once.".to_owned(),
        Some(n_same) => format!("Parts from the teacher after {}.", format::count(n_same, "token")),
    }
}

#[component]
fn NearnessWords(nearness: Nearness) -> impl IntoView {
    let Nearness { n_places, n_agreeing, kl } = nearness;
    view! {
        <dl class="nearness">
            <div>
                <dt>"Expects the teacher's next token"</dt>
                <dd class="agreement">
                    {format!("at {n_agreeing} of {}", format::count(n_places, "place"))}
                </dd>
            </div>
            <div>
                <dt>"Distance from the teacher"</dt>
                <dd class="kl">
                    {format!("{kl:.4} nats")} <small>" (mean KL along its text)"</small>
                </dd>
            </div>
        </dl>
    }
}
