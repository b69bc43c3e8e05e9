//! The loss terms by step, updated during the run.

use boomerang_core::chart::Chart;
use boomerang_core::distill::loss::LossTerm;
use leptos::html;
use leptos::prelude::*;

use super::saves::{SAVED_HEIGHT, SAVED_WIDTH, Saves};
use super::width::width_of;
use crate::state::distillation::Distillation;
use crate::state::distillation::record::Record;
use crate::text::format;

const HEIGHT_PER_WIDTH: f64 = 0.5;

#[component]
pub fn DistillChart(distillation: Distillation) -> impl IntoView {
    let shown = distillation.shown;
    let chart = Memo::new(move |_| shown.with(|record| record.as_ref()?.chart()));
    let figure = NodeRef::<html::Div>::new();
    let width = width_of(figure);
    let drawing = move || {
        let width = width.get();
        let height = (width * HEIGHT_PER_WIDTH).clamp(300.0, 420.0);
        let draw = |chart: &Chart| chart.to_element("teach-chart", width, height);
        chart.with(|chart| chart.as_ref().map(draw).unwrap_or_default())
    };
    let has_chart = Memo::new(move |_| chart.with(Option::is_some));
    let title = move || chart.with(|chart| chart.as_ref().map(|chart| chart.title.clone()));
    let description =
        move || chart.with(|chart| chart.as_ref().map(|chart| chart.description.clone()));
    // Files are offered only while no step is taken.
    let is_still = Memo::new(move |_| !distillation.stage.with(|stage| stage.name() == "teaching"));
    let svg = Signal::derive(move || {
        let draw = |chart: &Chart| chart.to_svg(SAVED_WIDTH, SAVED_HEIGHT);
        chart.with(|chart| chart.as_ref().map(draw).unwrap_or_default())
    });
    let csv = Signal::derive(move || {
        shown.with(|record| record.as_ref().map(|record| record.csv()).unwrap_or_default())
    });
    let table = move || shown.with(|record| record.as_deref().map(table));
    view! {
        <figure class="curve" hidden=move || !has_chart.get()>
            <div node_ref=figure inner_html=drawing></div>
            <figcaption>
                <p>{title}</p>
                <p class="quiet">{description}</p>
            </figcaption>
        </figure>
        <Show when=move || has_chart.get() && is_still.get()>
            <Saves name="teaching" svg csv/>
            <details>
                <summary>"Show table"</summary>
                {table}
            </details>
        </Show>
    }
}

/// Means of consecutive steps.
fn table(record: &Record) -> impl IntoView + use<> {
    let heads = LossTerm::ALL
        .map(|term| view! { <th scope="col">{format::capitalized(term.short_name())}</th> });
    let rows = record.lines().into_iter().map(|line| {
        let terms = line.terms.map(|value| {
            let value = value.map_or_else(|| "off".to_owned(), |value| format!("{value:.3}"));
            view! { <td>{value}</td> }
        });
        view! {
            <tr>
                <th scope="row">{line.step}</th>
                <td>{format!("{:.3}", line.total)}</td>
                {terms.into_iter().collect_view()}
            </tr>
        }
    });
    view! {
        <div class="table-scroll">
            <table>
                <thead>
                    <tr>
                        <th scope="col">"Up to step"</th>
                        <th scope="col">"Loss"</th>
                        {heads.into_iter().collect_view()}
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}
