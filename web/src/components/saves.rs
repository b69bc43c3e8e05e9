//! Buttons to save a chart and its numbers.

use leptos::prelude::*;
use leptos::task::spawn_local;

use super::download::{data_url, save};
use crate::browser::picture::png;

/// Of a saved picture, in CSS pixels.
pub const SAVED_WIDTH: f64 = 800.0;
pub const SAVED_HEIGHT: f64 = 500.0;

#[component]
pub fn Saves(
    /// Of the files, without their endings.
    name: &'static str,
    /// Empty if there is no picture.
    #[prop(into)]
    svg: Signal<String>,
    #[prop(into)] csv: Signal<String>,
) -> impl IntoView {
    let has_failed = RwSignal::new(false);
    let save_png = move |_| {
        let svg = svg.get_untracked();
        spawn_local(async move {
            match png(&svg, SAVED_WIDTH, SAVED_HEIGHT).await {
                Some(picture) => save(&format!("{name}.png"), &picture),
                None => has_failed.set(true),
            }
        });
    };
    let no_picture = move || svg.with(String::is_empty);
    view! {
        <p class="saves">
            <a download=format!("{name}.svg") hidden=no_picture href=move || data_url("image/svg+xml", &svg.get())>
                "Save as SVG"
            </a>
            <button type="button" class="link" hidden=no_picture on:click=save_png>"Save as PNG"</button>
            <a download=format!("{name}.csv") href=move || data_url("text/csv", &csv.get())>
                "Save as CSV"
            </a>
            <span role="status">
                {move || has_failed.get().then_some("This browser cannot create a PNG; save the SVG.")}
            </span>
        </p>
    }
}
