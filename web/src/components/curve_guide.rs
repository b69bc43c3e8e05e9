//! How to read the curve: what its ends, lines and marks are.

use boomerang_core::chart::{Measure, describe_series};
use boomerang_core::curve::Series;
use leptos::prelude::*;

use crate::state::dial::Dial;

#[component]
pub fn CurveGuide(
    dial: Dial,
    measure: RwSignal<Measure>,
    /// Whether the chart has lines of other patch orders.
    has_orders: bool,
    is_open: bool,
) -> impl IntoView {
    let (student, teacher) = dial.family.with_value(|family| {
        let path = family.path();
        let n_layers = |stop: usize| family.size(&path[stop]).n_layers;
        (n_layers(0), n_layers(family.last_stop()))
    });
    let lines = move || {
        let is_measured = |series: &Series| {
            dial.family.with_value(|family| {
                let stops = family.manifest().curve.stops(*series);
                stops.iter().any(|stop| measure.get().of(stop).is_some())
            })
        };
        let line = |series: Series| {
            let (name, meaning) = describe_series(series);
            view! { <div><dt>{name}</dt><dd>{meaning}</dd></div> }
        };
        Series::ALL.into_iter().filter(is_measured).map(line).collect_view()
    };
    let quality = move || match measure.get() {
        Measure::Accuracy => {
            "Share of questions answered correctly. Dotted line, where it is in view: random guessing."
        }
        Measure::Nats => {
            "Loss on held-out text, in nats/token: how unexpected each next token is. Lower is better."
        }
    };
    view! {
        <details class="curve-guide" open=is_open>
            <summary>"How to read this curve"</summary>
            <dl>
                <div>
                    <dt>"Left end"</dt>
                    <dd>{format!("the student: {student} layers, distilled once")}</dd>
                </div>
                <div>
                    <dt>"Right end"</dt>
                    <dd>{format!("the teacher: all {teacher} layers, unchanged")}</dd>
                </div>
                <div>
                    <dt>"Between"</dt>
                    <dd>"teacher layers patched into the student; nothing is trained for it"</dd>
                </div>
                {lines}
                {has_orders.then(|| view! {
                    <div>
                        <dt>"Boomerang, …"</dt>
                        <dd>"the same student, patched in another order"</dd>
                    </div>
                })}
                <div>
                    <dt>"Height"</dt>
                    <dd>{quality}</dd>
                </div>
                <div>
                    <dt>"Marks"</dt>
                    <dd>
                        "Bars: one standard error each way. Ring: the size on the dial; click a point \
                         to go there."
                    </dd>
                </div>
            </dl>
        </details>
    }
}
