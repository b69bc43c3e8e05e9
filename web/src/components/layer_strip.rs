//! The model's layers, first to last: student layers hatched, teacher layers solid.

use leptos::prelude::*;

use super::measure_here::MeasureThisSet;
use crate::family::Block;
use crate::state::dial::Dial;

#[component]
pub fn LayerStrip(dial: Dial) -> impl IntoView {
    let blocks = dial.family.with_value(|family| family.blocks());
    let has_similarity = blocks.iter().any(|block| block.similarity.is_some());
    let block = move |block| view! { <BlockButton block dial/> };
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
            <ol id="layer-strip" aria-describedby="strip-hint">
                {blocks.into_iter().map(block).collect_view()}
            </ol>
            <span class="strip-end" aria-hidden="true">"next word"</span>
        </div>
        <div class="strip-foot">
            {has_similarity.then(|| view! {
                <p class="quiet">
                    "Under each block: cosine similarity of the student layer's output with that of \
                    the teacher layers it corresponds to (1 is identical)."
                </p>
            })}
            <OffPath dial/>
        </div>
    }
}

/// One block: a student layer, or the teacher layers that replace it.
#[component]
fn BlockButton(block: Block, dial: Dial) -> impl IntoView {
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
            style:flex-basis=format!("{:.2}rem", 0.4 + 1.5 * n_teacher_layers as f64)
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
