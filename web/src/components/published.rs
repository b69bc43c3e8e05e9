//! A larger family, as it was measured: its curve and what its sizes generated.

use boomerang_core::chart::{Coverage, Measure, SizeAxis};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::curve_chart::{Zoom, cut_in_words};
use super::download::data_url;
use super::recorded_text::Text;
use crate::state::dial::Dial;
use crate::state::published::fetch_published;
use crate::text::published::{NAME, PublishedFamily};

/// Of the chart, in CSS pixels.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 340.0;

/// Nothing where the page comes without these files, or shows this family itself.
#[component]
pub fn Published(dial: Dial) -> impl IntoView {
    let family = RwSignal::new(None::<PublishedFamily>);
    spawn_local(async move {
        if let Some(found) = fetch_published().await {
            family.try_set(Some(found));
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
    let chart = view! { <PublishedChart family=family.clone()/> };
    let texts = family.shown().into_iter().map(|shown| view! { <li><Text shown/></li> });
    view! {
        <section class="panel published" id="published" aria-labelledby="published-heading">
            <div class="panel-head">
                <h2 id="published-heading">{format!("A larger family: {NAME}")}</h2>
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

/// The loss of every size.
#[component]
pub(super) fn PublishedChart(family: PublishedFamily) -> impl IntoView {
    let measure = Measure::Nats;
    let chart = family.curve.chart(SizeAxis::Layers, measure)?;
    let can_zoom = chart.can_zoom();
    let chosen = RwSignal::new(if can_zoom { Coverage::Subject } else { Coverage::All });
    let (title, drawn) = (chart.title.clone(), chart.clone());
    let cut = move || {
        let geometry = chart.geometry_of(chosen.get(), WIDTH, HEIGHT);
        cut_in_words(&geometry.cut, measure.format())
    };
    let picture = move || data_url("image/svg+xml", &drawn.to_svg_of(chosen.get(), WIDTH, HEIGHT));
    Some(view! {
        <figure>
            {can_zoom.then(|| view! { <Zoom legend="Vertical axis of this curve" chosen/> })}
            <img src=picture width=WIDTH.to_string() height=HEIGHT.to_string() alt=title.clone()/>
            <figcaption class="quiet">{title.clone()}</figcaption>
            <p class="quiet">{cut}</p>
        </figure>
    })
}
