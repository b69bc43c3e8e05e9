//! The curve as a table.

use boomerang_core::chart::describe_series;
use boomerang_core::curve::{CurveStop, Series};
use boomerang_core::estimate::Estimate;
use leptos::prelude::*;

use super::scroll_table::ScrollTable;
use crate::state::dial::Dial;
use crate::text::format;

#[component]
pub fn CurveTable(dial: Dial) -> impl IntoView {
    let rows: Vec<(Series, CurveStop)> = dial.family.with_value(|family| {
        let stops = |series| {
            let stops = family.manifest().curve.stops(series);
            stops.into_iter().map(move |stop| (series, stop)).collect::<Vec<_>>()
        };
        Series::ALL.into_iter().flat_map(stops).collect()
    });
    let row = move |(series, stop): (Series, CurveStop)| {
        let n_layers = stop.n_layers;
        let is_here = move || {
            let here = dial.score.with(|score| score.as_ref().map(|score| score.n_layers));
            series == Series::Boomerang && here == Some(n_layers)
        };
        view! {
            <tr class:is-here=is_here aria-current=move || is_here().then_some("true")>
                <th scope="row">{describe_series(series).0}</th>
                <td>{stop.n_layers}</td>
                <td>{format::params(stop.n_params)}</td>
                <td>{accuracy(stop.accuracy)}</td>
                <td>{nats(stop.nats)}</td>
            </tr>
        }
    };
    view! {
        <details class="curve-table">
            <summary>"Show table"</summary>
            <ScrollTable label="Measurements">
                <table>
                    <thead>
                        <tr>
                            <th scope="col">"Series"</th>
                            <th scope="col">"Layers"</th>
                            <th scope="col">"Parameters"</th>
                            <th scope="col">"Accuracy"</th>
                            <th scope="col">"nats/token"</th>
                        </tr>
                    </thead>
                    <tbody>{rows.into_iter().map(row).collect_view()}</tbody>
                </table>
            </ScrollTable>
        </details>
    }
}

fn accuracy(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(|| "–".to_owned(), Estimate::to_percent)
}

fn nats(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(|| "–".to_owned(), |estimate| estimate.to_text(3))
}
