//! The beginning of a text, and how it is to go on.

use boomerang_core::generate::Sampling;
use leptos::prelude::*;

use super::choice::Choice;
use crate::dial::Dial;
use crate::format;
use crate::run::Task;
use crate::session::{Session, Stage};

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Draw {
    Likeliest,
    Random,
}

const DEFAULT_LENGTH: usize = 48;
const DEFAULT_TEMPERATURE: f64 = 0.8;

#[component]
pub fn PromptBox(session: Session, dial: Dial) -> impl IntoView {
    let prompts = dial.family.with_value(|family| family.manifest().prompts.clone());
    let max_length = dial.family.with_value(|family| family.max_seq());
    let prompt = RwSignal::new(prompts.first().cloned().unwrap_or_default());
    let length = RwSignal::new(DEFAULT_LENGTH.min(max_length));
    let draw = RwSignal::new(Draw::Likeliest);
    let temperature = RwSignal::new(DEFAULT_TEMPERATURE);
    let seed = RwSignal::new(0_u64);

    let generate = move || {
        let sampling = match draw.get_untracked() {
            Draw::Likeliest => Sampling::Greedy,
            Draw::Random => Sampling::Random {
                temperature: temperature.get_untracked(),
                seed: seed.get_untracked(),
            },
        };
        session.generate(Task {
            patch: dial.patch.get_untracked(),
            size: dial.size.get_untracked(),
            prompt: prompt.get_untracked(),
            n_tokens: length.get_untracked(),
            sampling,
        });
    };
    let can_generate = Memo::new(move |_| {
        let is_ready = session.stage.with(|stage| *stage == Stage::Ready);
        is_ready && prompt.with(|prompt| !prompt.trim().is_empty())
    });
    let is_generating = Memo::new(move |_| session.is_generating());
    let on_key = move |event: leptos::ev::KeyboardEvent| {
        if event.key() == "Enter" && (event.ctrl_key() || event.meta_key()) {
            event.prevent_default();
            generate();
        }
    };
    let with_layers =
        move || format!("Continue with {}", format::count(dial.size.get().n_layers, "layer"));
    view! {
        <div class="panel-head">
            <h2 id="prompt-heading">"Let it write"</h2>
        </div>
        <form
            class="prompt-form"
            on:submit=move |event| {
                event.prevent_default();
                generate();
            }
        >
            <label for="prompt">"Beginning of a text"</label>
            <textarea
                id="prompt"
                rows="2"
                spellcheck="false"
                prop:value=move || prompt.get()
                on:input=move |event| prompt.set(event_target_value(&event))
                on:keydown=on_key
            ></textarea>
            <Examples prompts prompt/>
            <div class="button-row">
                <button type="submit" class="primary" id="generate" disabled=move || !can_generate.get()>
                    {with_layers}
                </button>
                <button
                    type="button"
                    id="stop"
                    disabled=move || !is_generating.get()
                    on:click=move |_| session.stop()
                    aria-keyshortcuts="Escape"
                >
                    "Stop"
                </button>
                <span class="quiet key-hint">"Ctrl Enter, Esc"</span>
            </div>
            <details class="sampling">
                <summary>"Length and chance"</summary>
                <div class="sampling-fields">
                    <label>
                        "Tokens"
                        <input
                            type="number"
                            id="n-tokens"
                            min="1"
                            max=max_length.to_string()
                            prop:value=move || length.get().to_string()
                            on:change=move |event| {
                                if let Ok(wanted) = event_target_value(&event).parse::<usize>() {
                                    length.set(wanted.clamp(1, max_length));
                                }
                                // A length that did not change is still to be shown as it is.
                                length.notify();
                            }
                        />
                    </label>
                    <Choice
                        legend="Next token"
                        options=vec![(Draw::Likeliest, "Likeliest"), (Draw::Random, "Drawn")]
                        chosen=draw
                    />
                    <Show when=move || draw.get() == Draw::Random>
                        <label>
                            "Temperature"
                            <input
                                type="number"
                                min="0.1"
                                max="2"
                                step="0.1"
                                prop:value=move || temperature.get().to_string()
                                on:change=move |event| {
                                    if let Ok(wanted) = event_target_value(&event).parse::<f64>() {
                                        temperature.set(wanted.clamp(0.1, 2.0));
                                    }
                                }
                            />
                        </label>
                        <label>
                            "Seed"
                            <input
                                type="number"
                                min="0"
                                step="1"
                                prop:value=move || seed.get().to_string()
                                on:change=move |event| {
                                    if let Ok(wanted) = event_target_value(&event).parse() {
                                        seed.set(wanted);
                                    }
                                }
                            />
                        </label>
                    </Show>
                </div>
            </details>
        </form>
    }
}

/// Prompts to try.
#[component]
fn Examples(prompts: Vec<String>, prompt: RwSignal<String>) -> impl IntoView {
    let example = move |text: String| {
        let shown = text.clone();
        view! {
            <li>
                <button type="button" class="example" on:click=move |_| prompt.set(text.clone())>
                    {shown}
                </button>
            </li>
        }
    };
    (!prompts.is_empty()).then(|| {
        view! {
            <ul class="examples" aria-label="Beginnings to try">
                {prompts.into_iter().map(example).collect_view()}
            </ul>
        }
    })
}
