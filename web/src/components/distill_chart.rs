//! The terms of the training loss by step, updated during the run.

use boomerang_core::distill::loss::LossTerm;
use leptos::prelude::*;

use super::chart_figure::ChartFigure;
use crate::state::distillation::Distillation;
use crate::state::distillation::record::Record;
use crate::state::distillation::run::DistillStage;
use crate::text::format;

#[component]
pub fn DistillChart(distillation: Distillation) -> impl IntoView {
    let selected = distillation.selected;
    let chart = Signal::derive(move || {
        selected.with(|run| run.as_ref().and_then(|run| run.record.chart()))
    });
    let is_still = Memo::new(move |_| {
        !selected.with(|run| run.as_ref().is_some_and(|run| run.stage == DistillStage::Running))
    });
    let csv = Signal::derive(move || {
        selected.with(|run| run.as_ref().map(|run| run.record.csv()).unwrap_or_default())
    });
    let has_table = Memo::new(move |_| is_still.get() && chart.with(Option::is_some));
    let table = move || selected.with(|run| run.as_ref().map(|run| table(&run.record)));
    view! {
        <ChartFigure id="teach-chart" name="teaching" chart csv is_still=is_still/>
        <Show when=move || has_table.get()>
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
                        <th scope="col">"Training loss"</th>
                        {heads.into_iter().collect_view()}
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}
