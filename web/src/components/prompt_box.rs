//! The beginning of a text, and how it is to go on.

use leptos::prelude::*;

use super::choice::Choice;
use super::number_field::NumberField;
use super::panels::Part;
use super::share::CopyLink;
use crate::browser::embedding::is_following;
use crate::state::address::Address;
use crate::state::bench::Limits;
use crate::state::dial::Dial;
use crate::state::draft::{Draft, Draw};
use crate::state::session::Session;
use crate::text::controls::Control;
use crate::text::format;

#[component]
pub fn PromptBox(
    session: Session,
    dial: Dial,
    draft: Draft,
    address: Address,
    limits: Signal<Limits>,
) -> impl IntoView {
    let prompts = dial.family.with_value(|family| family.manifest().prompts.clone());
    let prompt = draft.prompt;
    let generate = move || session.generate(draft.task(dial));
    Effect::new(move |before: Option<boomerang_core::generate::Sampling>| {
        let sampling = draft.sampling();
        let is_held = session.is_held();
        let before = before.filter(|&before| before != sampling && !is_following());
        if before.is_some() && !is_held {
            session.draw_again(untrack(|| draft.task(dial)));
        }
        // What has changed while a text was written is looked at again when that is done.
        before.filter(|_| is_held).unwrap_or(sampling)
    });
    let has_room = Memo::new(move |_| dial.patch.with(|patch| session.has_room(patch)));
    let can_generate =
        Memo::new(move |_| session.can_ask() && draft.has_prompt() && has_room.get());
    let is_generating = Memo::new(move |_| session.is_generating());
    let with_layers = move || {
        let layers = format::count(dial.size.get().n_layers, "layer");
        if !has_room.get() {
            return format!("{layers} have no room here");
        }
        match dial.patch.with(|patch| session.n_missing_bytes(patch)) {
            n_bytes if session.can_ask() && n_bytes > 0 => {
                format!("Fetch {} and continue with {layers}", format::bytes(n_bytes))
            }
            _ => format!("Continue with {layers}"),
        }
    };
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
            <Part control=Control::Prompt limits>
                <PromptField draft on_submit=generate/>
                <Examples prompts prompt/>
            </Part>
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
            <div class="prompt-foot">
                <Part control=Control::Chance limits>
                    <Sampling draft/>
                </Part>
                <Part control=Control::Share limits>
                    <CopyLink address/>
                </Part>
            </div>
        </form>
    }
}

/// Where the beginning is typed.
#[component]
pub fn PromptField(
    draft: Draft,
    /// On Ctrl Enter.
    on_submit: impl Fn() + 'static,
) -> impl IntoView {
    let prompt = draft.prompt;
    let on_key = move |event: leptos::ev::KeyboardEvent| {
        if event.key() == "Enter" && (event.ctrl_key() || event.meta_key()) {
            event.prevent_default();
            on_submit();
        }
    };
    view! {
        <label for="prompt">"Beginning of a text"</label>
        <textarea
            id="prompt"
            rows="2"
            spellcheck="false"
            prop:value=move || prompt.get()
            on:input=move |event| prompt.set(event_target_value(&event))
            on:keydown=on_key
        ></textarea>
    }
}

/// How long the text becomes, and how its tokens are chosen.
#[component]
pub fn Sampling(draft: Draft) -> impl IntoView {
    view! {
        <details class="sampling">
            <summary>"Length and chance"</summary>
            <div class="sampling-fields">
                <NumberField
                    label="Tokens"
                    id="n-tokens"
                    min="1"
                    max=draft.most_tokens().to_string()
                    value=move || draft.n_tokens.get().to_string()
                    take=move |typed: String| draft.type_length(&typed)
                />
                <Choice
                    legend="Next token"
                    options=vec![(Draw::Likeliest, "Likeliest"), (Draw::Random, "Drawn")]
                    chosen=draft.draw
                />
                <Show when=move || draft.draw.get() == Draw::Random>
                    <NumberField
                        label="Temperature"
                        id="temperature"
                        min="0.1"
                        max="2"
                        step="0.1"
                        value=move || draft.temperature.get().to_string()
                        take=move |typed: String| draft.type_temperature(&typed)
                    />
                    <NumberField
                        label="Seed"
                        id="seed"
                        min="0"
                        step="1"
                        value=move || draft.seed.get().to_string()
                        take=move |typed: String| draft.type_seed(&typed)
                    />
                </Show>
            </div>
        </details>
    }
}

/// Prompts to try.
#[component]
pub fn Examples(prompts: Vec<String>, prompt: RwSignal<String>) -> impl IntoView {
    let example = move |text: String| {
        let (shown, own) = (text.clone(), text.clone());
        let is_chosen = Memo::new(move |_| prompt.with(|prompt| *prompt == own));
        view! {
            <li>
                <button
                    type="button"
                    class="example"
                    aria-pressed=move || is_chosen.get().to_string()
                    on:click=move |_| prompt.set(text.clone())
                >
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
