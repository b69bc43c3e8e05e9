//! What the chosen size wrote when the bundle was made: to be read before a weight is here.

use leptos::prelude::*;

use super::marked::Marked;
use crate::state::bench::Bench;
use crate::text::format;
use crate::text::recorded::{Shown, shown};

#[component]
pub fn RecordedText(bench: Bench) -> impl IntoView {
    let Bench { session, dial, draft, .. } = bench;
    let recorded = Memo::new(move |_| {
        let prompt = draft.prompt.get();
        let patch = dial.patch.get();
        let stop = dial.family.with_value(|family| family.recorded_place(&patch))?;
        session.recordings.with(|recordings| shown(recordings.as_ref()?, &prompt, stop))
    });
    let text = move || match recorded.get() {
        Some(shown) => view! { <Text shown/> }.into_any(),
        None => view! {
            <p class="quiet recorded-none">
                {move || why_not(bench)}
            </p>
        }
        .into_any(),
    };
    view! { <div class="recorded" id="recorded">{text}</div> }
}

#[component]
fn Text(shown: Shown) -> impl IntoView {
    let parted = match (shown.n_same, shown.n_tokens) {
        (None, _) => "word for word the teacher's text".to_owned(),
        (Some(0), _) => "parts from the teacher at once".to_owned(),
        (Some(n_same), _) => {
            format!("parts from the teacher after {}", format::count(n_same, "token"))
        }
    };
    let layers = format::count(shown.n_layers, "layer");
    view! {
        <p class="run-heading">
            <strong>{layers}</strong> ": " {parted}
            <span class="badge recorded-badge" title="Written when the bundle was made">"recorded"</span>
        </p>
        <p class="recorded-text">
            <span class="output-prompt">{shown.prompt}</span>
            <Marked stretches=shown.stretches/>
            {(!shown.is_ended).then_some(" …")}
        </p>
    }
}

/// Why there is nothing to read.
fn why_not(bench: Bench) -> &'static str {
    let has_recordings = bench.session.recordings.with(Option::is_some);
    match (has_recordings, bench.dial.stop.get()) {
        (false, _) => "This bundle comes without recorded texts: load the model to read some.",
        (true, None) => {
            "Nobody has recorded what this set of blocks writes: load the model and let it write."
        }
        (true, Some(_)) => {
            "This beginning was not recorded: load the model, and it continues your own words."
        }
    }
}
