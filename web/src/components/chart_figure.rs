//! A chart with its title, its description and its files.

use boomerang_core::chart::Chart;
use leptos::html;
use leptos::prelude::*;

use super::saves::{SAVED_HEIGHT, SAVED_WIDTH, Saves};
use super::width::width_of;

const HEIGHT_PER_WIDTH: f64 = 0.5;

/// Nothing while there is no chart.
#[component]
pub fn ChartFigure(
    /// Of the figure, and in those of its drawing.
    id: &'static str,
    /// Of the files, without their endings.
    name: &'static str,
    #[prop(into)] chart: Signal<Option<Chart>>,
    #[prop(into)] csv: Signal<String>,
    /// Whether files are offered; not while the chart changes.
    #[prop(optional, into)]
    is_still: Option<Signal<bool>>,
) -> impl IntoView {
    let figure = NodeRef::<html::Div>::new();
    let width = width_of(figure);
    let drawing = move || {
        let width = width.get();
        let height = (width * HEIGHT_PER_WIDTH).clamp(300.0, 420.0);
        let draw = |chart: &Chart| chart.to_element(id, width, height);
        chart.with(|chart| chart.as_ref().map(draw).unwrap_or_default())
    };
    let has_chart = Memo::new(move |_| chart.with(Option::is_some));
    let text = move |read: fn(&Chart) -> &str| {
        move || chart.with(|chart| chart.as_ref().map(|chart| read(chart).to_owned()))
    };
    let is_still = Memo::new(move |_| is_still.is_none_or(|is_still| is_still.get()));
    let svg = Signal::derive(move || {
        let draw = |chart: &Chart| chart.to_svg(SAVED_WIDTH, SAVED_HEIGHT);
        chart.with(|chart| chart.as_ref().map(draw).unwrap_or_default())
    });
    view! {
        <figure class="curve" id=id hidden=move || !has_chart.get()>
            // The text of the drawing comes from `core`, which escapes every word in it.
            <div node_ref=figure inner_html=drawing></div>
            <figcaption>
                <p>{text(|chart| &chart.title)}</p>
                <p class="quiet">{text(|chart| &chart.description)}</p>
            </figcaption>
        </figure>
        <Show when=move || has_chart.get() && is_still.get()>
            <Saves name svg csv/>
        </Show>
    }
}
