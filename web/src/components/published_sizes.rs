//! The family whose results come without its weights, size by size: its curve and its texts.

use leptos::prelude::*;

use super::published::PublishedChart;
use super::recorded_text::Text;
use crate::text::format;
use crate::text::published::{NAME, PublishedFamily};
use crate::text::recorded::shown;

#[component]
pub fn PublishedSizes(family: PublishedFamily) -> impl IntoView {
    let last = family.recordings.texts.first().map_or(0, |text| text.members.len() - 1);
    let n_layers: Vec<usize> =
        family.recordings.texts.first().map_or_else(Vec::new, |text| {
            text.members.iter().map(|member| member.n_layers).collect()
        });
    let stop = RwSignal::new(0_usize);
    let set = move |event: leptos::ev::Event| {
        if let Ok(wanted) = event_target_value(&event).parse::<usize>() {
            stop.set(wanted.min(last));
        }
    };
    let layers = move || format::count(n_layers[stop.get()], "layer");
    let layers_of_text = layers.clone();
    let picture = view! { <PublishedChart family=family.clone()/> };
    let texts = move || {
        let recordings = &family.recordings;
        let text = |prompt: &str| shown(recordings, prompt, stop.get());
        let shown = recordings.texts.iter().filter_map(|recorded| text(&recorded.prompt));
        shown.map(|shown| view! { <li><Text shown/></li> }).collect_view()
    };
    view! {
        <section class="panel published" aria-labelledby="published-sizes-heading">
            <div class="panel-head">
                <h2 id="published-sizes-heading">{format!("Recorded: {NAME}")}</h2>
            </div>
            <p class="quiet">"Measured and generated before; the weights are not on this page."</p>
            <p class="published-size">
                <label for="published-dial">"Size: "</label>
                <output for="published-dial">{layers}</output>
                <input
                    type="range"
                    id="published-dial"
                    min="0"
                    max=last.to_string()
                    prop:value=move || stop.get().to_string()
                    aria-valuetext=layers_of_text
                    on:input=set
                />
            </p>
            <div class="published-results">
                {picture}
                <ol class="published-texts" aria-label="Recorded texts of this size">{texts}</ol>
            </div>
        </section>
    }
}
