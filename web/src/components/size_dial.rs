//! The dial: one stop for each size on the path, and the chosen size in numbers.

use leptos::prelude::*;

use crate::dial::Dial;
use crate::format;

#[component]
pub fn SizeDial(dial: Dial) -> impl IntoView {
    let last_stop = dial.family.with_value(|family| family.last_stop());
    let position = move || dial.position();
    let in_words = move || {
        let size = dial.size.get();
        let layers = format::count(size.n_layers, "layer");
        format!("{layers}, {} parameters", format::params(size.n_params))
    };
    let on_input = move |event| {
        if let Ok(stop) = event_target_value(&event).parse() {
            dial.turn_to(stop);
        }
    };
    view! {
        <h2 id="size-heading">"Size"</h2>
        <Numbers dial/>
        <div class="dial">
            <span class="dial-end" aria-hidden="true">"student"</span>
            <div class="dial-track">
                <input
                    type="range"
                    id="size-dial"
                    min="0"
                    max=last_stop.to_string()
                    step="1"
                    prop:value=move || position().to_string()
                    on:input=on_input
                    aria-label="Model size, from student to teacher"
                    aria-valuetext=in_words
                    class:is-off-path=move || dial.stop.get().is_none()
                />
                <Stops last_stop/>
            </div>
            <span class="dial-end" aria-hidden="true">"teacher"</span>
        </div>
    }
}

/// A tick below each stop.
#[component]
fn Stops(last_stop: usize) -> impl IntoView {
    let tick = |_| view! { <i></i> };
    view! {
        <div class="dial-stops" aria-hidden="true">{(0..=last_stop).map(tick).collect_view()}</div>
    }
}

#[component]
fn Numbers(dial: Dial) -> impl IntoView {
    let accuracy = move || {
        let accuracy = dial.score.with(|score| score.as_ref().and_then(|score| score.accuracy));
        match accuracy {
            Some(accuracy) => view! {
                {format::percent(accuracy.mean)}
                <small>" ± " {format::percent(accuracy.stderr)}</small>
            }
            .into_any(),
            None => view! { <span class="unmeasured">"not measured"</span> }.into_any(),
        }
    };
    view! {
        <dl class="numbers">
            <div>
                <dt>"Layers"</dt>
                <dd id="n-layers">{move || dial.size.get().n_layers}</dd>
            </div>
            <div>
                <dt>"Parameters"</dt>
                <dd id="n-params">{move || format::params(dial.size.get().n_params)}</dd>
            </div>
            <div>
                <dt>"Weights"</dt>
                <dd id="n-bytes">{move || format::bytes(dial.size.get().n_bytes)}</dd>
            </div>
            <div>
                <dt>"Accuracy"</dt>
                <dd id="accuracy">{accuracy}</dd>
            </div>
        </dl>
    }
}
