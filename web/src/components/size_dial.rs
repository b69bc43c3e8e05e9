//! The dial: one stop for each size on the path, and the numbers of the current size.

use boomerang_core::curve::CurveStop;
use boomerang_core::estimate::Estimate;
use boomerang_core::plan::Patch;
use leptos::prelude::*;

use super::choice::Choice;
use super::measure_here::MeasureThisSet;
use crate::family::order::OrderChoice;
use crate::state::dial::Dial;
use crate::state::session::Session;
use crate::text::format;

#[component]
pub fn SizeDial(
    session: Session,
    dial: Dial,
    /// Without a choice of the order: lessons refer to stops.
    #[prop(optional)]
    is_fixed: bool,
) -> impl IntoView {
    let last_stop = dial.family.with_value(|family| family.last_stop());
    let position = move || dial.position();
    let in_words = move || {
        let size = dial.size.get();
        let layers = format::count(size.n_layers, "layer");
        format!("{layers}, {} parameters", format::params(size.n_params))
    };
    // Requested while the dial moves, so that it may be loaded when the user stops.
    Effect::new(move |_| {
        let patch = dial.patch.get();
        if untrack(|| session.n_missing_bytes(&patch)) > 0 {
            session.prioritize(patch);
        }
    });
    let on_input = move |event| {
        if let Ok(stop) = event_target_value(&event).parse() {
            dial.turn_to(stop);
        }
    };
    view! {
        <div class="panel-head">
            <h2 id="size-heading">"Size"</h2>
            <LoadedSizes session dial/>
        </div>
        <Numbers dial/>
        <div class="dial">
            <span class="dial-end" aria-hidden="true">"student"</span>
            <div class="dial-track">
                <input
                    type="range"
                    id="size-dial"
                    min="0"
                    max=last_stop.to_string()
                    step="1"
                    prop:value=move || position().to_string()
                    on:input=on_input
                    aria-label="Model size, from student to teacher"
                    aria-valuetext=in_words
                    class:is-off-path=move || dial.stop.get().is_none()
                />
                <Stops session dial/>
            </div>
            <span class="dial-end" aria-hidden="true">"teacher"</span>
        </div>
        {(!is_fixed).then(|| view! { <Order session dial/> })}
    }
}

/// The order in which the dial patches, if there is a choice.
#[component]
fn Order(session: Session, dial: Dial) -> impl IntoView {
    let (choices, now) = dial.family.with_value(|family| {
        let manifest = family.manifest();
        let similarity = &manifest.similarity;
        let is_whole = similarity.len() == manifest.plan.n_student_layers();
        let similarity = if is_whole { similarity.as_slice() } else { &[] };
        (OrderChoice::choices(&manifest.order, similarity), family.order())
    });
    let chosen = RwSignal::new(now);
    Effect::new(move |before: Option<OrderChoice>| {
        let chosen = chosen.get();
        if before.is_some_and(|before| before != chosen) {
            session.reorder(chosen);
        }
        chosen
    });
    (choices.len() > 1).then(|| {
        view! {
            <fieldset class="order-row" id="order" disabled=move || !session.can_ask()>
                <span class="quiet" aria-hidden="true">"Patch order"</span>
                <Choice legend="Patch order" options=choices chosen/>
            </fieldset>
        }
    })
}

/// A tick below each stop: a bar if the size is loaded, else a dot.
#[component]
fn Stops(session: Session, dial: Dial) -> impl IntoView {
    let path = dial.family.with_value(|family| family.path().to_vec());
    let tick = |patch: Patch| {
        let is_absent = Memo::new(move |_| session.n_missing_bytes(&patch) > 0);
        view! { <i class:is-absent=move || is_absent.get()></i> }
    };
    view! {
        <div class="dial-stops" aria-hidden="true">
            {path.into_iter().map(tick).collect_view()}
        </div>
    }
}

/// How many sizes are loaded; always one line, so that nothing below it moves.
#[component]
fn LoadedSizes(session: Session, dial: Dial) -> impl IntoView {
    let n_sizes = dial.family.with_value(|family| family.path().len());
    let n_loaded = Memo::new(move |_| {
        let path = dial.family.with_value(|family| family.path().to_vec());
        path.iter().filter(|patch| session.n_missing_bytes(patch) == 0).count()
    });
    let words = move || {
        let n_loaded = n_loaded.get();
        let is_loading = session.progress.with(Option::is_some);
        let is_limited = !session.fits_all();
        let rest = match (is_loading, is_limited) {
            (true, _) => "loading the others",
            (false, true) => "the others do not fit in memory",
            (false, false) => "the others are not loaded",
        };
        match n_loaded {
            0 => "Model not loaded yet.".to_owned(),
            n_loaded if n_loaded < n_sizes => {
                format!("{n_loaded} of {} loaded, {rest}.", format::count(n_sizes, "size"))
            }
            _ => format!("All {} loaded.", format::count(n_sizes, "size")),
        }
    };
    view! {
        <p class="quiet reach" id="reach" data-sizes=move || n_loaded.get().to_string()>{words}</p>
    }
}

#[component]
fn Numbers(dial: Dial) -> impl IntoView {
    // Accuracy, or the loss of a family that was measured on texts alone.
    let stops = dial.family.with_value(|family| family.measured().to_vec());
    let has = |of: fn(&CurveStop) -> Option<Estimate>| stops.iter().any(|stop| of(stop).is_some());
    let is_loss = !has(|stop| stop.accuracy) && has(|stop| stop.nats);
    let (name, show) = match is_loss {
        true => ("nats/token", nats as fn(f64) -> String),
        false => ("Accuracy", format::percent as fn(f64) -> String),
    };
    let quality = move || {
        let of = |score: &CurveStop| if is_loss { score.nats } else { score.accuracy };
        match dial.score.with(|score| score.as_ref().and_then(of)) {
            Some(found) => view! {
                {show(found.mean)}
                {(found.stderr.is_finite())
                    .then(|| view! { <small>" ± " {show(found.stderr)}</small> })}
                {dial.is_scored_here.get().then(|| view! { <small>" on this device"</small> })}
            }
            .into_any(),
            None => view! { <span class="unmeasured">"not measured"</span> }.into_any(),
        }
    };
    view! {
        <dl class="numbers">
            <div>
                <dt>"Layers"</dt>
                <dd id="n-layers">{move || dial.size.get().n_layers}</dd>
            </div>
            <div>
                <dt>"Parameters"</dt>
                <dd id="n-params">{move || format::params(dial.size.get().n_params)}</dd>
            </div>
            <div>
                <dt>"Weights"</dt>
                <dd id="n-bytes">{move || format::bytes(dial.size.get().n_bytes)}</dd>
            </div>
            <div>
                <dt>{name}</dt>
                <dd id="quality">{quality}</dd>
            </div>
        </dl>
        // A combination that is not on the dial has the button in its own note.
        <Show when=move || dial.stop.get().is_some()>
            <MeasureThisSet dial/>
        </Show>
    }
}

fn nats(nats: f64) -> String {
    format!("{nats:.2}")
}
