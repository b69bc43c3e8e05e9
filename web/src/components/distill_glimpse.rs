//! What the student is like while it is trained: its layers beside the teacher's, and what it writes.

use boomerang_engine::distillation::messages::Glimpse;
use leptos::prelude::*;

use crate::state::distillation::Distillation;
use crate::state::distillation::record::Record;

#[component]
pub fn DistillGlimpse(distillation: Distillation) -> impl IntoView {
    // Once for each glimpse, not for each step.
    let glimpses = Memo::new(move |_| {
        distillation.selected.with(|run| {
            let record = &run.as_ref()?.record;
            Some((similarity_rows(record)?, record.glimpses.clone()))
        })
    });
    move || {
        let (rows, glimpses) = glimpses.get()?;
        let last = glimpses.last()?.clone();
        Some(view! { <Layers rows step=last.step/> <Samples glimpses/> })
    }
}

/// A student layer, its block, and its similarity with the block before the first step and now.
#[derive(Clone, Debug, PartialEq)]
struct SimilarityRow {
    layer: usize,
    block: String,
    first: f64,
    last: f64,
}

fn similarity_rows(record: &Record) -> Option<Vec<SimilarityRow>> {
    let (first, last) = record.glimpses.first().zip(record.glimpses.last())?;
    let values = first.similarity.iter().zip(&last.similarity).enumerate();
    let row = |(layer, (&first, &last)): (usize, (&f64, &f64))| {
        let block = record.settings.plan.block(layer);
        let block = match block.len() {
            1 => block.start.to_string(),
            _ => format!("{}–{}", block.start, block.end - 1),
        };
        SimilarityRow { layer, block, first, last }
    };
    Some(values.map(row).collect())
}

#[component]
fn Layers(rows: Vec<SimilarityRow>, step: usize) -> impl IntoView {
    let row = |row: SimilarityRow| {
        let percent = format!("{:.1}%", row.last.clamp(0.0, 1.0) * 100.0);
        view! {
            <tr>
                <th scope="row">{row.layer}</th>
                <td>{row.block}</td>
                <td>{format!("{:.3}", row.first)}</td>
                <td>{format!("{:.3}", row.last)}</td>
                <td class="similarity-cell" aria-hidden="true">
                    <div class="similarity-bar"><span style:width=percent></span></div>
                </td>
            </tr>
        }
    };
    view! {
        <div class="table-scroll" tabindex="0" role="region" aria-label="Cosine similarity">
            <table id="teach-similarity" data-step=step.to_string()>
                <caption>
                    "Cosine similarity of the student's layers with the teacher's, on held-out \
                     sequences"
                </caption>
                <thead>
                    <tr>
                        <th scope="col">"Student layer"</th>
                        <th scope="col">"Teacher layers"</th>
                        <th scope="col">"Before step 1"</th>
                        <th scope="col">"After step " {step}</th>
                        <td></td>
                    </tr>
                </thead>
                <tbody>{rows.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}

#[component]
fn Samples(glimpses: Vec<Glimpse>) -> impl IntoView {
    let sample = |glimpse: &Glimpse| {
        view! { <span class="quiet">{glimpse.prompt.clone()}</span> {glimpse.text.clone()} }
    };
    let last = glimpses.last().map(|glimpse| {
        view! {
            <p id="teach-sample">
                "Greedy sample after step " {glimpse.step} ": " {sample(glimpse)}
            </p>
        }
    });
    let rows = glimpses.iter().map(|glimpse| {
        view! {
            <tr>
                <th scope="row">{glimpse.step}</th>
                <td>{sample(glimpse)}</td>
            </tr>
        }
    });
    view! {
        {last}
        <details>
            <summary>"Samples of earlier steps"</summary>
            <table>
                <thead>
                    <tr>
                        <th scope="col">"Step"</th>
                        <th scope="col">"Text"</th>
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </details>
    }
}
