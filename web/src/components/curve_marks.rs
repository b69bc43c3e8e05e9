//! What the curve says of this reader: which size is chosen, and which sizes have room here.

use std::sync::Arc;

use boomerang_core::chart::{Geometry, Here, Measure, SizeAxis};
use leptos::prelude::*;

use crate::browser::backend::Backend;
use crate::browser::budget::Budget;
use crate::family::MemberSize;
use crate::state::dial::Dial;
use crate::state::session::Session;

/// The sizes that have room in this browser, when not all have.
#[component]
pub fn Room(geometry: Arc<Geometry>, dial: Dial, size_axis: RwSignal<SizeAxis>) -> impl IntoView {
    let session: Session = expect_context();
    let backend =
        move || session.choice.with(|choice| choice.as_ref().map_or(Backend::Cpu, |it| it.backend));
    move || {
        let (largest, next) = dial.family.with_value(|family| {
            let n_sizes = Budget::of_browser(backend()).n_sizes(family);
            let size = |place: usize| Some(family.size(family.measured_path().get(place)?));
            Some((size(n_sizes.checked_sub(1)?)?, size(n_sizes)?))
        })?;
        let place = |size: MemberSize| {
            let x = size_axis.get().at(size.n_params, size.n_layers);
            geometry.place_here(Here { x, y: None }).0
        };
        let plot = geometry.plot;
        let edge = (place(largest) + place(next)) / 2.0;
        // The words stand inside where there is room for them, too.
        let (words_at, anchor) =
            if edge - plot.left > 180.0 { (edge - 6.0, "end") } else { (edge + 6.0, "start") };
        let words = if anchor == "end" { "has room in this browser" } else { "← has room here" };
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

/// You are here: filled where it was measured, hollow and on the axis where it was not.
#[component]
pub fn HereMark(
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
    let place = move || geometry.place_here(here.get());
    let place = Memo::new(move |_| place());
    let words = move || if is_measured() { "you are here" } else { "you are here, not measured" };
    // The words stand on the side where there is room.
    let is_right = move || place.get().0 > (plot.left + plot.right) / 2.0;
    view! {
        <g
            id="here-mark"
            data-measured=move || is_measured().to_string()
            data-layers=move || dial.size.get().n_layers.to_string()
            class:is-unmeasured=move || !is_measured()
        >
            <g class="here-x" style:transform=move || format!("translateX({:.1}px)", place.get().0)>
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
                    style:transform=move || format!("translateY({:.1}px)", place.get().1)
                ></circle>
            </g>
        </g>
    }
}
