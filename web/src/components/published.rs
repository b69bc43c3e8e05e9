//! A larger family, as it was measured: its curve and what its sizes generated.

use boomerang_core::chart::{Measure, SizeAxis};
use boomerang_engine::fetch::{Redirects, fetch_text};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::download::data_url;
use super::recorded_text::Text;
use crate::state::dial::Dial;
use crate::text::published::PublishedFamily;

/// Where the build of the page puts the files, from `assets/families/smollm2/results`.
const FOLDER: &str = "families/smollm2";
/// Of the chart, in CSS pixels.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 340.0;

/// Nothing where the page comes without these files, or shows this family itself.
#[component]
pub fn Published(dial: Dial) -> impl IntoView {
    let family = RwSignal::new(None::<PublishedFamily>);
    spawn_local(async move {
        let [curve, recordings] =
            ["curve.csv", "recordings.json"].map(|name| format!("{FOLDER}/{name}"));
        let curve = fetch_text(&curve, Redirects::Refused).await;
        let recordings = fetch_text(&recordings, Redirects::Refused).await;
        if let (Ok(curve), Ok(recordings)) = (curve, recordings) {
            family.try_set(PublishedFamily::parse(&curve, &recordings));
        }
    });
    let own_order =
        dial.family.with_value(|family| family.manifest().curve.order().map(str::to_owned));
    move || {
        let family = family.get()?;
        (family.curve.order() != own_order.as_deref()).then(|| view! { <Results family/> })
    }
}

#[component]
fn Results(family: PublishedFamily) -> impl IntoView {
    let chart = family.curve.chart(SizeAxis::Layers, Measure::Nats);
    let chart = chart.map(|chart| {
        let picture = data_url("image/svg+xml", &chart.to_svg(WIDTH, HEIGHT));
        view! {
            <figure>
                <img src=picture width=WIDTH.to_string() height=HEIGHT.to_string() alt=chart.title.clone()/>
                <figcaption class="quiet">{chart.title.clone()}</figcaption>
            </figure>
        }
    });
    let texts = family.texts.into_iter().map(|shown| view! { <li><Text shown/></li> });
    view! {
        <section class="panel published" id="published" aria-labelledby="published-heading">
            <div class="panel-head">
                <h2 id="published-heading">"A larger family: SmolLM2-135M-Instruct"</h2>
            </div>
            <p>
                "Made with " <code>"cargo xtask family smollm2"</code> ": a student distilled on texts \
                 that the teacher wrote, measured on its texts about other topics."
            </p>
            <div class="published-results">
                {chart}
                <ol class="published-texts" aria-label="Recorded texts of several sizes">
                    {texts.collect_view()}
                </ol>
            </div>
        </section>
    }
}
