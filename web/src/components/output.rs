//! The text that is being generated, and earlier ones.

use boomerang_core::generate::KeptLayers;
use boomerang_engine::messages::{ChatMessage, Ending, Prompt, Role, RunReport};
use leptos::prelude::*;

use super::notice_box::NoticeBox;
use super::spans::{SpanLegend, label, labelled_text, mark_of};
use crate::state::dial::Dial;
use crate::state::run::spans::ShownSpan;
use crate::state::run::{Piece, Run};
use crate::state::session::Session;
use crate::text::format;
use crate::text::visible::visible;

#[component]
pub fn Output(
    session: Session,
    dial: Dial,
    /// Actions on the generated text.
    children: Children,
) -> impl IntoView {
    let run = session.run;
    let token_ids = move || run.with(|run| run.as_ref().map(Run::token_ids).unwrap_or_default());
    let prompt = Memo::new(move |_| run.with(|run| run.as_ref().map(|run| run.prompt.clone())));
    let rendered = Memo::new(move |_| run.with(|run| run.as_ref()?.rendered.clone()));
    // Without a text the element is empty, and not shown.
    let before = move || match prompt.get() {
        Some(Prompt::Chat(_)) => None,
        Some(Prompt::Text(text)) => Some(text),
        None => Some(String::new()),
    };
    let before =
        move || before().map(|text| view! { <span class="output-prompt">{visible(&text)}</span> });
    let pieces = move || run.with(|run| run.as_ref().map(shown_pieces)).unwrap_or_default();
    let heading =
        move || run.with(|run| run.as_ref().map(|run| view! { <RunHeading run=run.clone()/> }));
    let moved_on = Memo::new(move |_| {
        let (patch, n_layers) = (dial.patch.get(), dial.size.get().n_layers);
        run.with(|run| {
            let run = run.as_ref().filter(|run| run.patch != patch)?;
            Some(of_another_size(run.size.n_layers, n_layers))
        })
    });
    let moved_on =
        move || moved_on.get().map(|text| view! { <p class="quiet" id="moved-on">{text}</p> });
    let refusal = move || session.run_failure.get().map(|notice| view! { <NoticeBox notice/> });
    view! {
        <div class="output-box" aria-busy=move || session.is_generating().to_string()>
            {refusal}
            {move || prompt.get().map(conversation)}
            {heading}
            {moved_on}
            <p id="output" data-token-ids=token_ids class:is-writing=move || session.is_generating()>
                {before}
                <For
                    each=pieces
                    key=|piece| piece.key
                    children=|piece| {
                        let ShownPiece { text, span, is_first, .. } = piece;
                        let mark = span.as_ref().map(mark_of);
                        let label = span.filter(|_| is_first).map(|span| label(&span));
                        view! { {label} <span class="token span-text" data-mark=mark>{visible(&text)}</span> }
                    }
                />
            </p>
            <SpanLegend session/>
            <Spoken session/>
            {move || rendered.get().map(rendered_prompt)}
            {children()}
            <Earlier session/>
        </div>
    }
}

/// One token of the text, and what shows its span in a text of several.
#[derive(Clone)]
struct ShownPiece {
    /// With the text, so that its tokens are not reused for another.
    key: (u32, usize, usize),
    text: String,
    span: Option<ShownSpan>,
    is_first: bool,
}

fn shown_pieces(run: &Run) -> Vec<ShownPiece> {
    let spans = if run.has_spans() { run.shown_spans() } else { Vec::new() };
    let piece = |(index, piece): (usize, &Piece)| {
        let span = spans.iter().find(|span| span.pieces.contains(&index)).cloned();
        ShownPiece {
            key: (run.id, index, piece.text.len()),
            text: piece.text.clone(),
            is_first: span.as_ref().is_some_and(|span| span.pieces.start == index),
            span,
        }
    };
    run.pieces.iter().enumerate().map(piece).collect()
}

/// The turns before an answer; nothing for a text.
fn conversation(prompt: Prompt) -> Option<impl IntoView> {
    let Prompt::Chat(messages) = prompt else { return None };
    let message = |message: ChatMessage| {
        let name = match message.role {
            Role::User => "You",
            Role::Assistant => "Assistant",
        };
        view! {
            <li data-role=message.role.name()>
                <span class="quiet">{name}</span>
                <p class="turn-text">{visible(&message.content)}</p>
            </li>
        }
    };
    let messages = messages.into_iter().map(message).collect_view();
    Some(view! { <ol class="turns" aria-label="Conversation">{messages}</ol> })
}

/// The conversation as the chat template writes it.
fn rendered_prompt(text: String) -> impl IntoView {
    view! {
        <details class="rendered">
            <summary>"Prompt with chat template"</summary>
            <pre id="rendered-prompt">{visible(&text)}</pre>
        </details>
    }
}

/// The sizes, and the speed of the last one.
#[component]
fn RunHeading(run: Run) -> impl IntoView {
    let n_params = (!run.has_spans()).then(|| format::params(run.size.n_params));
    view! {
        <p class="run-heading">
            <strong>{run.sizes_in_words()}</strong>
            {n_params.map(|n_params| format!(" · {n_params} parameters"))}
            <span class="quiet run-report">{run.report.map(in_words)}</span>
        </p>
    }
}

/// The label of a text whose member is no longer selected.
fn of_another_size(n_layers: usize, on_dial: usize) -> String {
    let layers = format::count(n_layers, "layer");
    if n_layers == on_dial {
        return format!("Generated with {layers}, but with other blocks than are selected now.");
    }
    format!("Generated with {layers}; the dial is now at {}.", format::count(on_dial, "layer"))
}

fn in_words(report: RunReport) -> String {
    let tokens = format::count(report.n_tokens, "token");
    let resampled = match report.n_reused {
        0 => String::new(),
        n if n == report.n_tokens => ", resampled without running the model".to_owned(),
        n => format!(", the first {n} resampled without running the model"),
    };
    let speed = report
        .tokens_per_second()
        .map_or_else(String::new, |per_second| format!(", {} tokens/s", format::speed(per_second)));
    // The first token includes the prompt, and on a GPU the compilation of its shaders.
    let first = if report.n_tokens > report.n_reused && report.first_millis > 1000.0 {
        format!(", the first after {:.1} s", report.first_millis / 1000.0)
    } else {
        String::new()
    };
    let ending = match report.ending {
        Ending::Length => "",
        Ending::Window => ", reached the context window",
        Ending::EndOfText => ", reached end of text",
        Ending::Stopped => ", stopped",
    };
    let kept = report.kept.map_or_else(String::new, |kept| {
        let KeptLayers { n_layers, n_all, n_positions } = kept;
        let positions = format::count(n_positions, "position");
        format!(", {n_layers} of {n_all} layers reused at {positions}")
    });
    format!("{tokens}{resampled}{speed}{first}{kept}{ending}")
}

/// The text for screen readers: sentence by sentence, since single tokens are too fast.
#[component]
fn Spoken(session: Session) -> impl IntoView {
    let spoken = Memo::new(move |_| {
        session.run.with(|run| {
            let run = run.as_ref()?;
            let text = run.text();
            let n_whole = if run.report.is_some() { text.len() } else { whole_sentences(&text) };
            Some(text[..n_whole].to_owned())
        })
    });
    view! { <p class="visually-hidden" role="status" aria-live="polite">{move || spoken.get()}</p> }
}

/// Bytes up to the end of the last sentence.
fn whole_sentences(text: &str) -> usize {
    let mut ends =
        text.char_indices().filter(|(_, character)| matches!(character, '.' | '!' | '?' | '\n'));
    ends.next_back().map_or(0, |(index, character)| index + character.len_utf8())
}

/// Earlier texts, mostly of other sizes.
#[component]
fn Earlier(session: Session) -> impl IntoView {
    let item = |run: Run| {
        view! {
            <li>
                <RunHeading run=run.clone()/>
                <p class="earlier-text">
                    <span class="output-prompt">{visible(&run.prompt.before_text())}</span>
                    {labelled_text(&run)}
                </p>
            </li>
        }
    };
    let has_runs = Memo::new(move |_| session.earlier_runs.with(|runs| !runs.is_empty()));
    view! {
        <Show when=move || has_runs.get()>
            <section class="earlier" aria-labelledby="earlier-heading">
                <h3 id="earlier-heading">"Earlier texts"</h3>
                <ol>
                    <For each=move || session.earlier_runs.get() key=|run| run.id children=item/>
                </ol>
            </section>
        </Show>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_counts_resampled_tokens() {
        let report = RunReport {
            n_tokens: 13,
            n_reused: 2,
            first_millis: 1.0,
            rest_millis: 500.0,
            ending: Ending::Length,
            kept: None,
        };
        let words = "13 tokens, the first 2 resampled without running the model, 20 tokens/s";
        assert_eq!(in_words(report), words);
        let resampled = RunReport { n_reused: 13, first_millis: 0.0, rest_millis: 0.0, ..report };
        assert_eq!(in_words(resampled), "13 tokens, resampled without running the model");
    }

    #[test]
    fn the_report_of_a_continued_text_counts_what_was_reused() {
        let kept = KeptLayers { n_layers: 9, n_all: 24, n_positions: 40 };
        let report = RunReport {
            n_tokens: 1,
            n_reused: 0,
            first_millis: 1.0,
            rest_millis: 0.0,
            ending: Ending::Length,
            kept: Some(kept),
        };
        assert_eq!(in_words(report), "1 token, 9 of 24 layers reused at 40 positions");
    }

    #[test]
    fn a_text_of_another_member_names_its_size_and_that_of_the_dial() {
        assert_eq!(of_another_size(6, 1), "Generated with 6 layers; the dial is now at 1 layer.");
        assert!(of_another_size(6, 6).contains("other blocks"));
    }

    #[test]
    fn only_whole_sentences_are_spoken() {
        let text = "A cat. A d";
        assert_eq!(&text[..whole_sentences(text)], "A cat.");
        assert_eq!(whole_sentences("no end yet"), 0);
    }
}
