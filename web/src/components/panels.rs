//! The panels of the bench; a lesson or a link can hide or lock parts of it.

use boomerang_lessons::controls::Control;
use leptos::prelude::*;

use super::certainty::Certainty;
use super::curve_chart::CurveChart;
use super::layer_strip::LayerStrip;
use super::output::Output;
use super::prompt_box::PromptBox;
use super::recorded_text::RecordedText;
use super::share::KeepRun;
use super::size_dial::SizeDial;
use crate::state::bench::{Bench, Limits};

#[component]
pub fn Panels(
    bench: Bench,
    limits: Signal<Limits>,
    /// Next to a lesson's card.
    #[prop(optional)]
    is_lesson: bool,
) -> impl IntoView {
    let Bench { session, dial, draft, address, .. } = bench;
    let has_run = Memo::new(move |_| session.run.with(Option::is_some));
    let hides = move |controls: &'static [Control]| {
        limits.with(|limits| controls.iter().all(|control| limits.hidden.contains(control)))
    };
    view! {
        <div class="bench">
            <section
                class="panel size-panel"
                aria-labelledby="size-heading"
                hidden=move || hides(&[Control::Dial, Control::Strip])
            >
                <Part control=Control::Dial limits>
                    <SizeDial session dial is_fixed=is_lesson/>
                </Part>
                <Part control=Control::Strip limits>
                    <LayerStrip dial/>
                </Part>
            </section>
            <section class="panel write-panel" aria-labelledby="prompt-heading">
                <PromptBox session dial draft address limits/>
                <Part control=Control::Output limits>
                    <Show when=move || !has_run.get()>
                        <RecordedText bench/>
                    </Show>
                    <Output session dial>
                        <KeepRun session dial address/>
                        <Certainty session/>
                    </Output>
                </Part>
            </section>
            <section
                class="panel curve-panel"
                aria-labelledby="curve-heading"
                hidden=move || hides(&[Control::Curve])
            >
                <Part control=Control::Curve limits>
                    <CurveChart dial/>
                </Part>
            </section>
        </div>
    }
}

/// A part of the bench, hidden or locked according to the limits.
#[component]
pub(super) fn Part(control: Control, limits: Signal<Limits>, children: Children) -> impl IntoView {
    let is_hidden = move || limits.with(|limits| limits.hidden.contains(&control));
    let is_locked = Memo::new(move |_| limits.with(|limits| limits.locked.contains(&control)));
    view! {
        <div class="part" data-part=control.name() hidden=is_hidden>
            <Show when=move || is_locked.get()>
                <p class="quiet locked">"Locked"</p>
            </Show>
            <div class="part" inert=move || is_locked.get()>
                {children()}
            </div>
        </div>
    }
}
