//! The probability of each generated token, and its alternatives.

use boomerang_engine::messages::{Answer, Question, TokenCertainty};
use leptos::prelude::*;

use super::scroll_table::ScrollTable;
use crate::state::run::Run;
use crate::state::session::Session;
use crate::text::format::whole_percent;
use crate::text::tokens::visible;

#[component]
pub fn Certainty(session: Session) -> impl IntoView {
    // With the text it belongs to, so that it is hidden when another is generated.
    let found = RwSignal::new(None::<(u32, Vec<TokenCertainty>)>);
    let run_id = Memo::new(move |_| {
        session.run.with(|run| run.as_ref().filter(|run| run.report.is_some()).map(|run| run.id))
    });
    let ask = move |_| {
        let Some(run) = session.run.get_untracked() else { return };
        let run_id = run.id;
        // Of the last span: other members wrote those before.
        let from = run.prompt_tokens.len() + run.n_earlier();
        let tokens = [run.prompt_tokens.clone(), run.tokens()].concat();
        session.ask_model(
            move |_| Question::Certainty { patch: run.patch, tokens, from },
            move |answer| {
                if let Answer::Certainties(tokens) = answer {
                    found.set(Some((run_id, tokens)));
                }
            },
            |_| {},
        );
    };
    let has_found = Memo::new(move |_| {
        found.with(|found| found.as_ref().is_some_and(|(id, _)| Some(*id) == run_id.get()))
    });
    let table = move || {
        let (_, certainties) = found.get()?;
        session.run.with(|run| run.as_ref().map(|run| table(run, &certainties)))
    };
    view! {
        <Show when=move || run_id.get().is_some() && !has_found.get()>
            <p class="saves">
                <button type="button" class="link" id="ask-certainty" on:click=ask>
                    "Show token probabilities"
                </button>
            </p>
        </Show>
        <Show when=move || has_found.get()>{table}</Show>
    }
}

fn table(run: &Run, certainties: &[TokenCertainty]) -> impl IntoView + use<> {
    let tokens = run.tokens();
    let tokens = &tokens[run.n_earlier()..];
    let pieces = &run.pieces[run.n_earlier()..];
    let rows = pieces.iter().zip(tokens).zip(certainties).map(|((piece, token), certainty)| {
        let others =
            certainty.most_likely.iter().filter(|it| it.token != *token).take(4).map(|it| {
                view! {
                    <li>{visible(&it.text)} " " <small>{whole_percent(it.probability)}</small></li>
                }
            });
        let is_most_likely = certainty.most_likely.first().is_some_and(|it| it.token == *token);
        let width = format!("{:.1}%", certainty.probability * 100.0);
        view! {
            <tr>
                <th scope="row">{visible(&piece.text)}</th>
                <td class="certainty">
                    <span class="certainty-bar" aria-hidden="true">
                        <i style:width=width></i>
                    </span>
                    {whole_percent(certainty.probability)}
                    {(!is_most_likely).then_some(" (not the most likely)")}
                </td>
                <td><ul class="others">{others.collect_view()}</ul></td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    view! {
        <p role="status" id="certainty-finding">{finding(certainties)}</p>
        <ScrollTable label="Every token and its probability">
            <table class="certainties" id="certainties">
                <thead>
                    <tr>
                        <th scope="col">"Token"</th>
                        <th scope="col">"Probability"</th>
                        <th scope="col">"Alternatives"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </ScrollTable>
    }
}

/// From this probability a token counts as certain.
const CERTAIN: f64 = 0.9;

fn finding(certainties: &[TokenCertainty]) -> String {
    let n_certain = certainties.iter().filter(|it| it.probability >= CERTAIN).count();
    let least = certainties.iter().map(|it| it.probability).fold(1.0, f64::min);
    format!(
        "Probability of at least 90 % for {n_certain} of {}; lowest probability {}.",
        crate::text::format::count(certainties.len(), "token"),
        whole_percent(least)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finding_counts_certain_tokens() {
        let token = |probability| TokenCertainty { probability, most_likely: Vec::new() };
        let words = finding(&[token(0.95), token(0.4), token(0.9)]);
        assert_eq!(
            words,
            "Probability of at least 90 % for 2 of 3 tokens; lowest probability 40 %."
        );
    }
}
