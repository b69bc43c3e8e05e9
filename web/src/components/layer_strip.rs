//! The model's layers, first to last: student layers hatched, teacher layers solid.

use leptos::prelude::*;

use super::measure_here::MeasureThisSet;
use crate::family::Block;
use crate::state::dial::Dial;

/// Teachers with more layers get lower blocks with smaller labels.
const MOST_WIDE: usize = 16;

#[component]
pub fn LayerStrip(dial: Dial) -> impl IntoView {
    let blocks = dial.family.with_value(|family| family.blocks());
    let has_similarity = blocks.iter().any(|block| block.similarity.is_some());
    let n_teacher_layers =
        dial.family.with_value(|family| family.manifest().plan.n_teacher_layers());
    let is_dense = n_teacher_layers > MOST_WIDE;
    let block = move |block| view! { <BlockButton block dial is_dense/> };
    view! {
        <div class="strip-head">
            <p class="strip-hint" id="strip-hint">
                "Click a block to swap it; every combination is a working model."
            </p>
            <ul class="strip-legend" aria-label="Patterns">
                <li><span class="swatch student"></span>"student layer"</li>
                <li><span class="swatch teacher"></span>"teacher layer"</li>
            </ul>
        </div>
        <div class="strip">
            <span class="strip-end" aria-hidden="true">"text"</span>
            <ol id="layer-strip" class:is-dense=is_dense aria-describedby="strip-hint">
                {blocks.into_iter().map(block).collect_view()}
            </ol>
            <span class="strip-end" aria-hidden="true">"next token"</span>
        </div>
        <div class="strip-foot">
            {has_similarity.then(|| view! {
                <p class="quiet">
                    "Below each block: cosine similarity of the student layer's output to that of \
                    its teacher layers; 1 is identical."
                </p>
            })}
            <OffPath dial/>
        </div>
    }
}

/// One block: a student layer, or the teacher layers that replace it.
#[component]
fn BlockButton(block: Block, dial: Dial, is_dense: bool) -> impl IntoView {
    let Block { layer, teacher_layers, similarity } = block;
    let is_patched = Memo::new(move |_| dial.patch.with(|patch| patch.contains(layer)));
    let n_teacher_layers = teacher_layers.len();
    let (first, last) = (teacher_layers.start, teacher_layers.end - 1);
    let label = move || {
        let teacher = if first == last {
            format!("teacher layer {first}")
        } else {
            format!("teacher layers {first} to {last}")
        };
        format!("block {layer}: {teacher} instead of student layer {layer}")
    };
    let cells = move || {
        if is_patched.get() {
            let cell = |layer: usize| {
                view! { <span class="cell teacher"><b>{format!("T{layer}")}</b></span> }
            };
            teacher_layers.clone().map(cell).collect_view().into_any()
        } else {
            view! { <span class="cell student"><b>{format!("S{layer}")}</b></span> }.into_any()
        }
    };
    let toggle = move |_| dial.patch.update(|patch| *patch = patch.toggled(layer));
    view! {
        <li
            class="block"
            style:flex-grow=n_teacher_layers.to_string()
            style:flex-basis=format!("{:.2}rem", width(n_teacher_layers, is_dense))
            style:max-width=format!("calc({n_teacher_layers} * var(--widest-layer))")
        >
            <button
                type="button"
                class="block-button"
                aria-pressed=move || is_patched.get().to_string()
                title=label
                on:click=toggle
            >
                {cells}
                <span class="visually-hidden">", " {label}</span>
            </button>
            {similarity.map(|similarity| view! { <Similarity similarity/> })}
        </li>
    }
}

/// The least width of a block that leaves space for its labels, in rem.
fn width(n_teacher_layers: usize, is_dense: bool) -> f64 {
    let (around, each) = if is_dense { (0.2, 1.65) } else { (0.4, 1.5) };
    around + each * n_teacher_layers as f64
}

#[component]
fn Similarity(similarity: f64) -> impl IntoView {
    let percent = format!("{:.1}%", similarity.clamp(0.0, 1.0) * 100.0);
    view! {
        <div class="similarity">
            <div class="similarity-bar" aria-hidden="true">
                <span style:width=percent></span>
            </div>
            <span class="similarity-value">
                <span class="visually-hidden">"similarity "</span>
                {format!("{similarity:.2}")}
            </span>
        </div>
    }
}

/// A note on combinations that are not on the dial.
#[component]
fn OffPath(dial: Dial) -> impl IntoView {
    let is_off_path = Memo::new(move |_| dial.stop.get().is_none());
    let back = move |_| dial.turn_to(dial.position());
    let measured = move || {
        if dial.is_scored_here.get() {
            "; it was measured on this device"
        } else {
            ", and was not measured"
        }
    };
    view! {
        <div class="off-path" role="status">
            <Show when=move || is_off_path.get()>
                <p>
                    "This combination is not on the dial" {measured} ". "
                    <MeasureThisSet dial/>
                    " "
                    <button type="button" class="link" on:click=back>"Back to the dial"</button>
                </p>
            </Show>
        </div>
    }
}
