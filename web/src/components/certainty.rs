//! How sure the member was of each token it wrote, and what else it might have written.

use boomerang_engine::messages::{CertainPlace, Reply, Request};
use leptos::prelude::*;

use crate::state::run::Run;
use crate::state::session::Session;
use crate::text::format::whole_percent;
use crate::text::tokens::visible;

#[component]
pub fn Certainty(session: Session) -> impl IntoView {
    // With the text it belongs to, so that it goes when another is written.
    let found = RwSignal::new(None::<(u32, Vec<CertainPlace>)>);
    let run_id = Memo::new(move |_| {
        session.run.with(|run| run.as_ref().filter(|run| run.report.is_some()).map(|run| run.id))
    });
    let ask = move |_| {
        let Some(run) = session.run.get_untracked() else { return };
        let run_id = run.id;
        let from = run.prompt_tokens.len();
        let tokens = [run.prompt_tokens.clone(), run.tokens()].concat();
        session.consult(
            move |id, _| Request::Certainty { id, patch: run.patch, tokens, from },
            move |reply| {
                if let Reply::Certainty { places, .. } = reply {
                    found.set(Some((run_id, places.clone())));
                }
            },
        );
    };
    let has_found = Memo::new(move |_| {
        found.with(|found| found.as_ref().is_some_and(|(id, _)| Some(*id) == run_id.get()))
    });
    let table = move || {
        let (_, places) = found.get()?;
        session.run.with(|run| run.as_ref().map(|run| table(run, &places)))
    };
    view! {
        <Show when=move || run_id.get().is_some() && !has_found.get()>
            <p class="saves">
                <button type="button" class="link" id="ask-certainty" on:click=ask>
                    "How sure was it?"
                </button>
            </p>
        </Show>
        <Show when=move || has_found.get()>{table}</Show>
    }
}

fn table(run: &Run, places: &[CertainPlace]) -> impl IntoView + use<> {
    let tokens = run.tokens();
    let rows = run.pieces.iter().zip(&tokens).zip(places).map(|((piece, token), place)| {
        let others = place.likeliest.iter().filter(|it| it.token != *token).take(4).map(|it| {
            view! {
                <li>{visible(&it.text)} " " <small>{whole_percent(it.probability)}</small></li>
            }
        });
        let is_likeliest = place.likeliest.first().is_some_and(|it| it.token == *token);
        let width = format!("{:.1}%", place.probability * 100.0);
        view! {
            <tr>
                <th scope="row">{visible(&piece.text)}</th>
                <td class="certainty">
                    <span class="certainty-bar" aria-hidden="true">
                        <i style:width=width></i>
                    </span>
                    {whole_percent(place.probability)}
                    {(!is_likeliest).then_some(" (not the likeliest)")}
                </td>
                <td><ul class="others">{others.collect_view()}</ul></td>
            </tr>
        }
    });
    view! {
        <p role="status" id="certainty-finding">{finding(places)}</p>
        <div class="table-scroll" tabindex="0" role="region" aria-label="Every token and its probability">
            <table class="certainties" id="certainties">
                <thead>
                    <tr>
                        <th scope="col">"Written"</th>
                        <th scope="col">"Probability"</th>
                        <th scope="col">"Instead of"</th>
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}

/// Above this a token is as good as certain.
const SURE: f64 = 0.9;

fn finding(places: &[CertainPlace]) -> String {
    let n_sure = places.iter().filter(|place| place.probability >= SURE).count();
    let least = places.iter().map(|place| place.probability).fold(1.0, f64::min);
    format!(
        "Sure (at least 90 %) of {n_sure} of {}; least sure where it gave {}.",
        crate::text::format::count(places.len(), "token"),
        whole_percent(least)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finding_counts_what_is_sure() {
        let place = |probability| CertainPlace { probability, likeliest: Vec::new() };
        let words = finding(&[place(0.95), place(0.4), place(0.9)]);
        assert_eq!(words, "Sure (at least 90 %) of 2 of 3 tokens; least sure where it gave 40 %.");
    }
}
