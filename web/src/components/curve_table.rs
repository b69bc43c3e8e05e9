//! The curve as a table.

use boomerang_core::chart::describe_series;
use boomerang_core::curve::{CurveStop, Series, SizeCurve};
use boomerang_core::estimate::Estimate;
use leptos::prelude::*;

use super::scroll_table::ScrollTable;
use crate::state::dial::Dial;
use crate::text::format;

#[component]
pub fn CurveTable(dial: Dial) -> impl IntoView {
    let rows = Memo::new(move |_| dial.curve.with(rows));
    let row = move |(name, is_subject, stop): TableRow| {
        let n_layers = stop.n_layers;
        let is_here = move || {
            let here = dial.score.with(|score| score.as_ref().map(|score| score.n_layers));
            is_subject && here == Some(n_layers)
        };
        view! {
            <tr class:is-here=is_here aria-current=move || is_here().then_some("true")>
                <th scope="row">{name}</th>
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
                    <tbody>{move || rows.get().into_iter().map(row).collect_view()}</tbody>
                </table>
            </ScrollTable>
        </details>
    }
}

/// A point of the curve: its line, whether the curve is about that line, and the point.
type TableRow = (String, bool, CurveStop);

/// The bundle's series, then what was measured on this device.
fn rows(curve: &SizeCurve) -> Vec<TableRow> {
    let own = Series::ALL.into_iter().flat_map(|series| {
        let is_here = curve.order() == Some(SizeCurve::ON_THIS_DEVICE);
        let here = if is_here { ", on this device" } else { "" };
        let row = move |stop| {
            (format!("{}{here}", describe_series(series).0), series == Series::Boomerang, stop)
        };
        curve.stops(series).into_iter().map(row)
    });
    let orders = curve.other_orders().into_iter();
    let here = orders.filter(|order| order.ends_with(SizeCurve::ON_THIS_DEVICE));
    let here = here.flat_map(|order| {
        let row =
            move |stop| (format!("{}, {order}", describe_series(Series::Boomerang).0), false, stop);
        curve.stops_in(Series::Boomerang, order).into_iter().map(row)
    });
    own.chain(here).collect()
}

fn accuracy(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(|| "–".to_owned(), Estimate::to_percent)
}

fn nats(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(|| "–".to_owned(), |estimate| estimate.to_text(3))
}
