//! Marks on the curve: the current size, and the sizes that fit in memory.

use std::sync::Arc;

use boomerang_core::chart::{Geometry, Here, Measure, SizeAxis};
use leptos::prelude::*;

use crate::browser::backend::Backend;
use crate::family::MemberSize;
use crate::state::dial::Dial;
use crate::state::session::Session;

/// The sizes that fit in memory, when not all do.
#[component]
pub fn FittingRange(
    geometry: Arc<Geometry>,
    dial: Dial,
    size_axis: RwSignal<SizeAxis>,
) -> impl IntoView {
    let session: Session = expect_context();
    let backend =
        move || session.choice.with(|choice| choice.as_ref().map_or(Backend::Cpu, |it| it.backend));
    move || {
        let (largest, next) = dial.family.with_value(|family| {
            let n_sizes = backend().budget().n_sizes(family);
            let size = |index: usize| Some(family.size(family.measured_path().get(index)?));
            Some((size(n_sizes.checked_sub(1)?)?, size(n_sizes)?))
        })?;
        let x_of = |size: MemberSize| {
            let x = size_axis.get().at(size.n_params, size.n_layers);
            geometry.place_here(Here { x, y: None }).0
        };
        let plot = geometry.plot;
        let edge = (x_of(largest) + x_of(next)) / 2.0;
        // The label is inside the range if it is wide enough.
        let (words_at, anchor) =
            if edge - plot.left > 180.0 { (edge - 6.0, "end") } else { (edge + 6.0, "start") };
        let words = if anchor == "end" { "fits in memory" } else { "← fits in memory" };
        Some(view! {
            <rect
                class="room"
                id="room"
                x=plot.left
                y=plot.top
                width=edge - plot.left
                height=plot.bottom - plot.top
            ></rect>
            <text class="note" x=words_at y=plot.bottom - 8.0 text-anchor=anchor>{words}</text>
        })
    }
}

/// The current size: filled if it was measured, else hollow and on the axis.
#[component]
pub fn CurrentMark(
    geometry: Arc<Geometry>,
    dial: Dial,
    size_axis: RwSignal<SizeAxis>,
    measure: RwSignal<Measure>,
) -> impl IntoView {
    let plot = geometry.plot;
    let here = Memo::new(move |_| {
        let size = dial.size.get();
        let x = size_axis.get().at(size.n_params, size.n_layers);
        let estimate =
            dial.score.with(|score| score.as_ref().and_then(|score| measure.get().of(score)));
        Here { x, y: estimate.map(|estimate| estimate.mean) }
    });
    let is_measured = move || here.get().y.is_some();
    let position = move || geometry.place_here(here.get());
    let position = Memo::new(move |_| position());
    let words = move || if is_measured() { "current size" } else { "current size, not measured" };
    // The label is on the side with more space.
    let is_right = move || position.get().0 > (plot.left + plot.right) / 2.0;
    view! {
        <g
            id="here-mark"
            data-measured=move || is_measured().to_string()
            data-layers=move || dial.size.get().n_layers.to_string()
            class:is-unmeasured=move || !is_measured()
        >
            <g class="here-x" style:transform=move || format!("translateX({:.1}px)", position.get().0)>
                <path class="here-line" d=format!("M0 {:.1}V{:.1}", plot.top - 18.0, plot.bottom)></path>
                <text
                    class="here-words"
                    x=move || if is_right() { -7.0 } else { 7.0 }
                    y=plot.top - 7.0
                    text-anchor=move || if is_right() { "end" } else { "start" }
                >
                    {words}
                </text>
                <circle
                    class="here-ring"
                    r="10"
                    style:transform=move || format!("translateY({:.1}px)", position.get().1)
                ></circle>
            </g>
        </g>
    }
}
