//! The recorded text of the current size, shown before any weights are loaded.

use leptos::prelude::*;

use super::marked::Marked;
use crate::state::bench::Bench;
use crate::text::format;
use crate::text::recorded::{Shown, shown};
use crate::text::visible::visible;

#[component]
pub fn RecordedText(bench: Bench) -> impl IntoView {
    let Bench { session, dial, draft, .. } = bench;
    let recorded = Memo::new(move |_| {
        let prompt = draft.prompt.get();
        let patch = dial.patch.get();
        let stop = dial.family.with_value(|family| family.recorded_index(&patch))?;
        session.recordings.with(|recordings| shown(recordings.as_ref()?, &prompt, stop))
    });
    let text = move || match recorded.get() {
        Some(shown) => view! { <Text shown is_plain=draft.chat.is_on()/> }.into_any(),
        None => view! {
            <p class="quiet recorded-none">
                {move || why_not(bench)}
            </p>
        }
        .into_any(),
    };
    view! { <div class="recorded" id="recorded">{text}</div> }
}

/// A recorded text, compared with the teacher's.
#[component]
pub(super) fn Text(
    shown: Shown,
    /// Whether it continues the prompt as plain text, while the page has a conversation.
    #[prop(optional)]
    is_plain: bool,
) -> impl IntoView {
    let difference = match (shown.n_same, shown.n_tokens) {
        (None, _) => "identical to the teacher's text".to_owned(),
        (Some(0), _) => "diverges from the teacher at the first token".to_owned(),
        (Some(n_same), _) => {
            format!("diverges from the teacher after {}", format::count(n_same, "token"))
        }
    };
    let layers = format::count(shown.n_layers, "layer");
    view! {
        <p class="run-heading">
            <strong>{layers}</strong> ": " {difference}
            <span class="badge recorded-badge" title="Generated when the bundle was made">
                {if is_plain { "recorded without chat template" } else { "recorded" }}
            </span>
        </p>
        <p class="recorded-text">
            <span class="output-prompt">{visible(&shown.prompt)}</span>
            <Marked stretches=shown.stretches/>
            {(!shown.is_ended).then_some(" …")}
        </p>
    }
}

/// Why no text is shown.
fn why_not(bench: Bench) -> &'static str {
    let has_recordings = bench.session.recordings.with(Option::is_some);
    match (has_recordings, bench.dial.stop.get()) {
        (false, _) => "This bundle contains no recorded texts. Load the model to generate some.",
        (true, None) => {
            "No text was recorded for this combination of blocks. Load the model to generate one."
        }
        (true, Some(_)) => {
            "No text was recorded for this prompt. Load the model to try your own prompt."
        }
    }
}
