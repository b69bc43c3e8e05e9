//! The settings of a run: kept layers, training texts, steps, and the weights of the loss.

use boomerang_core::corpus::distill_recipe;
use boomerang_core::distill::loss::{LossTerm, LossWeights};
use boomerang_core::plan::LayerPlan;
use leptos::prelude::*;

use super::choice::Choice;
use super::number_field::NumberField;
use crate::browser::backend::Backend;
use crate::browser::dropped::chosen;
use crate::state::dial::Dial;
use crate::state::distillation::Distillation;
use crate::state::distillation::compare::{Setting, differences};
use crate::state::distillation::settings::{Keep, MOST_STEPS, Preset, toggled};
use crate::text::format;

#[component]
pub fn DistillSettingsForm(dial: Dial, distillation: Distillation) -> impl IntoView {
    let settings = distillation.settings;
    view! {
        <fieldset class="teach-settings">
            <legend class="visually-hidden">"Settings"</legend>
            <Presets distillation/>
            <Repeated dial distillation/>
            <KeptLayers dial distillation/>
            <Texts distillation/>
            <div class="sampling-fields">
                <NumberField
                    label="Steps"
                    id="teach-steps"
                    min="1"
                    max=MOST_STEPS.to_string()
                    value=move || settings.n_steps.text()
                    take=move |typed: String| settings.n_steps.set(&typed)
                    problem=Signal::derive(move || settings.n_steps.problem())
                />
                <NumberField
                    label="Learning rate"
                    id="teach-rate"
                    min="0"
                    max="0.1"
                    step="any"
                    value=move || settings.learning_rate.text()
                    take=move |typed: String| settings.learning_rate.set(&typed)
                    problem=Signal::derive(move || settings.learning_rate.problem())
                />
                <NumberField
                    label="Seed"
                    id="teach-seed"
                    min="0"
                    step="1"
                    value=move || settings.seed.text()
                    take=move |typed: String| settings.seed.set(&typed)
                    problem=Signal::derive(move || settings.seed.problem())
                />
            </div>
            <div class="sampling-fields">
                {LossTerm::ALL.map(|term| view! { <Weight term weights=settings.loss/> }).collect_view()}
            </div>
            <Device distillation/>
        </fieldset>
    }
}

/// Settings that show the phenomenon.
#[component]
fn Presets(distillation: Distillation) -> impl IntoView {
    let settings = distillation.settings;
    let button = move |preset: Preset| {
        let is_chosen = move || settings.n_steps.value() == Some(preset.n_steps());
        let id = match preset {
            Preset::Short => "preset-short",
            Preset::TooLong => "preset-too-long",
        };
        view! {
            <button
                type="button"
                class="example"
                id=id
                aria-pressed=move || is_chosen().to_string()
                on:click=move |_| settings.apply(preset)
            >
                {preset.name()}
            </button>
        }
    };
    view! {
        <div class="button-row" role="group" aria-label="Presets">
            {Preset::ALL.map(button).into_iter().collect_view()}
        </div>
    }
}

/// The run whose settings were copied, and what was changed since.
#[component]
fn Repeated(dial: Dial, distillation: Distillation) -> impl IntoView {
    let settings = distillation.settings;
    let words = move || {
        let number = settings.based_on.get()?;
        let now = settings.of_run(&dial.family.with_value(|family| family.manifest().plan.clone()));
        // All that may change is read here, since the settings of a run are read untracked.
        settings.track();
        let changed = distillation.runs.with(|runs| {
            let base = runs.iter().find(|run| run.number == number)?;
            let mut changed = differences(&now?, &base.record.settings);
            let names = settings
                .texts
                .with(|texts| texts.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
            if names != base.record.text_names() {
                changed.insert(Setting::Texts);
            }
            Some(changed.into_iter().map(Setting::name).collect::<Vec<_>>())
        })?;
        Some(match changed.len() {
            0 => format!("The settings are those of run {number}. Change one of them."),
            1 => format!("As run {number}, with another value of: {}.", changed[0]),
            n => format!(
                "{n} settings differ from run {number}: {}. With one change, a difference of the \
                 results has one cause.",
                changed.join(", ")
            ),
        })
    };
    view! { <p role="status" id="teach-repeated">{words}</p> }
}

/// GPU or CPU, where there is a choice.
#[component]
fn Device(distillation: Distillation) -> impl IntoView {
    let options = vec![(Backend::WebGpu, "GPU"), (Backend::Cpu, "CPU")];
    view! {
        <div class="button-row" id="teach-device">
            <Show when=move || distillation.has_gpu()>
                <Choice
                    legend="Device that distills"
                    options=options.clone()
                    chosen=distillation.settings.backend
                />
            </Show>
            <p class="quiet" role="status" id="teach-device-status">
                {move || distillation.device_in_words()}
            </p>
        </div>
    }
}

/// The training texts.
#[component]
fn Texts(distillation: Distillation) -> impl IntoView {
    let texts = distillation.settings.texts;
    let choose = move |event: leptos::ev::Event| {
        let files = chosen(&event);
        if !files.is_empty() {
            texts.set(files);
        }
    };
    view! {
        <div class="own-fields">
            <label>
                "Your own text or JSON files"
                <input
                    type="file"
                    id="teach-texts"
                    multiple
                    accept=".txt,.text,.md,.jsonl,.ndjson,.json,text/plain"
                    on:change=choose
                />
            </label>
            <button
                type="button"
                id="teach-corpus"
                disabled=move || texts.with(Vec::is_empty)
                on:click=move |_| texts.set(Vec::new())
            >
                "Use the generated corpus"
            </button>
        </div>
        <p class="quiet" role="status" id="teach-texts-status">
            {move || distillation.settings.texts_in_words()}
        </p>
    }
}

/// A slider from 0, which turns the term off.
#[component]
fn Weight(term: LossTerm, weights: RwSignal<LossWeights>) -> impl IntoView {
    // Twice what the page starts with, so that the slider begins in the middle or below.
    let most = (2.0 * term.weight(&distill_recipe::loss_weights())).max(2.0);
    let weight = move || weights.with(|weights| term.weight(weights));
    let slide = move |event: leptos::ev::Event| {
        if let Ok(value) = event_target_value(&event).parse::<f64>() {
            weights.update(|weights| term.set_weight(weights, value.clamp(0.0, most)));
        }
    };
    view! {
        <label class="weight">
            <span>"Weight of " {term.short_name()} ": " <b>{move || weight().to_string()}</b></span>
            <input
                type="range"
                id=format!("teach-{}", term.key())
                min="0"
                max=most.to_string()
                step=(most / 40.0).to_string()
                prop:value=move || weight().to_string()
                on:input=slide
            />
        </label>
    }
}

/// Checkboxes for the teacher's layers, and rules that set them.
#[component]
fn KeptLayers(dial: Dial, distillation: Distillation) -> impl IntoView {
    let own = dial.family.with_value(|family| family.manifest().plan.clone());
    let n_layers = own.n_teacher_layers();
    let n_kept = RwSignal::new(own.n_student_layers());
    let wanted = distillation.settings.plan;
    let plan = Memo::new(move |_| wanted.get().unwrap_or_else(|| own.clone()));
    let keep = move |rule: Keep| {
        if let Ok(plan) = rule.plan(n_layers) {
            wanted.set(Some(plan));
        }
    };
    let rule = move |name: &'static str, id: &'static str, rule: Signal<Keep>| {
        let is_chosen = Memo::new(move |_| {
            rule.get().plan(n_layers).is_ok_and(|ruled| plan.with(|plan| *plan == ruled))
        });
        view! {
            <button
                type="button"
                id=id
                class="example"
                aria-pressed=move || is_chosen.get().to_string()
                on:click=move |_| keep(rule.get_untracked())
            >
                {name}
            </button>
        }
    };
    let type_n_kept = move |typed: String| {
        if let Ok(typed) = typed.parse::<usize>() {
            n_kept.set(typed.clamp(1, n_layers));
        }
        n_kept.notify();
    };
    let boxes = (0..n_layers).map(|layer| view! { <LayerBox layer plan wanted/> });
    let status = move || {
        let n_layers_kept = plan.with(LayerPlan::n_student_layers);
        format!("{} of {n_layers} are kept", format::count(n_layers_kept, "layer"))
    };
    view! {
        <fieldset class="kept">
            <legend>"Teacher layers to keep"</legend>
            <div class="button-row">
                {rule("Every second", "keep-second", Signal::stored(Keep::EverySecond))}
                {rule("Every third", "keep-third", Signal::stored(Keep::EveryThird))}
                {rule("The first", "keep-first", Signal::derive(move || Keep::First(n_kept.get())))}
                {rule("The last", "keep-last", Signal::derive(move || Keep::Last(n_kept.get())))}
                <div class="many">
                    <NumberField
                        label="Number"
                        id="keep-many"
                        min="1"
                        max=n_layers.to_string()
                        value=move || n_kept.get().to_string()
                        take=type_n_kept
                    />
                </div>
            </div>
            <div class="layer-boxes">{boxes.collect_view()}</div>
            <p class="quiet" id="kept-status">
                {status} ". The first is always kept, since it follows the embedding."
            </p>
        </fieldset>
    }
}

/// The checkbox of one layer.
#[component]
fn LayerBox(
    layer: usize,
    plan: Memo<LayerPlan>,
    wanted: RwSignal<Option<LayerPlan>>,
) -> impl IntoView {
    let is_kept = move || plan.with(|plan| plan.kept().contains(&layer));
    view! {
        <label class="layer-box">
            <input
                type="checkbox"
                id=format!("keep-{layer}")
                disabled=layer == 0
                prop:checked=is_kept
                on:change=move |_| wanted.set(Some(toggled(&plan.get_untracked(), layer)))
            />
            {layer}
        </label>
    }
}
