//! A text that several sizes wrote in turn: which wrote what, and how the next one continues it.

use leptos::prelude::*;

use crate::state::dial::Dial;
use crate::state::draft::Draft;
use crate::state::run::Run;
use crate::state::run::spans::ShownSpan;
use crate::state::session::Session;
use crate::text::format;
use crate::text::visible::visible;

/// Members of a text that have a mark of their own; later ones begin with the first again.
const N_MARKS: usize = 6;

/// The name of the mark of a span, for its style.
pub fn mark_of(span: &ShownSpan) -> String {
    (span.member % N_MARKS + 1).to_string()
}

/// The label at the beginning of a span, in the text.
pub fn label(span: &ShownSpan) -> impl IntoView + use<> {
    let layers = format::count(span.n_layers, "layer");
    view! { <span class="span-label" data-mark=mark_of(span)>{layers}</span> }
}

/// The text of a run with a label before each of its spans, or without any for a single one.
pub fn labelled_text(run: &Run) -> impl IntoView + use<> {
    if !run.has_spans() {
        return visible(&run.text()).into_any();
    }
    let spans = run.shown_spans().into_iter().map(|span| {
        let text = run.text_of(span.pieces.clone());
        view! { {label(&span)} <span class="span-text" data-mark=mark_of(&span)>{visible(&text)}</span> }
    });
    spans.collect_view().into_any()
}

/// Which size wrote how many tokens, below a text of several.
#[component]
pub fn SpanLegend(session: Session) -> impl IntoView {
    let spans = Memo::new(move |_| {
        session.run.with(|run| {
            let run = run.as_ref().filter(|run| run.has_spans())?;
            let words = run.spans().iter().map(|span| span.in_words()).collect::<Vec<_>>();
            Some(run.shown_spans().into_iter().zip(words).collect::<Vec<_>>())
        })
    });
    let item = |(span, words): (ShownSpan, String)| {
        view! { <li><span class="span-text" data-mark=mark_of(&span)>{words}</span></li> }
    };
    let legend = move |spans: Vec<(ShownSpan, String)>| {
        view! {
            <ol class="span-legend" id="span-legend" aria-label="Sizes that wrote this text, in turn">
                {spans.into_iter().map(item).collect_view()}
            </ol>
        }
    };
    move || spans.get().map(legend)
}

/// Continues the text with the size of the dial, where that is another one than wrote it.
#[component]
pub fn ContinueRun(session: Session, dial: Dial, draft: Draft) -> impl IntoView {
    let is_offered = Memo::new(move |_| {
        let patch = dial.patch.get();
        let continues = |run: &Run| run.can_continue() && run.patch != patch;
        session.run.with(|run| run.as_ref().is_some_and(continues))
    });
    let fits = Memo::new(move |_| dial.patch.with(|patch| session.fits(patch)));
    let is_enabled = Memo::new(move |_| session.can_ask() && fits.get());
    let words = move || {
        let layers = format::count(dial.size.get().n_layers, "layer");
        match dial.patch.with(|patch| session.n_missing_bytes(patch)) {
            _ if !fits.get() => format!("{layers} do not fit in memory"),
            0 => format!("Continue this text with {layers}"),
            n_bytes => {
                format!("Load {} and continue this text with {layers}", format::bytes(n_bytes))
            }
        }
    };
    let on_click = move |_| {
        session.continue_run(draft.task(dial));
    };
    view! {
        <Show when=move || is_offered.get()>
            <p class="button-row">
                <button
                    type="button"
                    id="continue-run"
                    disabled=move || !is_enabled.get()
                    on:click=on_click
                >
                    {words}
                </button>
            </p>
        </Show>
    }
}
