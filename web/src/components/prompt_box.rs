//! The prompt, and the settings of the request.

use boomerang_lessons::controls::Control;
use leptos::prelude::*;

use super::choice::Choice;
use super::number_field::NumberField;
use super::panels::Part;
use super::share::CopyLink;
use crate::browser::embedding::is_following;
use crate::state::address::Address;
use crate::state::bench::Limits;
use crate::state::dial::Dial;
use crate::state::draft::{Draft, SamplingMode};
use crate::state::prompt_size::PromptSize;
use crate::state::session::Session;
use crate::text::format;
use crate::text::unknown::note;
use crate::text::visible::visible;

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
    Effect::new(move |before: Option<boomerang_core::generate::Sampling>| {
        let sampling = draft.sampling();
        let is_blocked = session.blocks_resampling();
        let before = before.filter(|&before| before != sampling && !is_following());
        if before.is_some() && !is_blocked {
            session.resample(untrack(|| draft.task(dial)));
        }
        // A change during a request is applied when that is done.
        before.filter(|_| is_blocked).unwrap_or(sampling)
    });
    let fits = Memo::new(move |_| dial.patch.with(|patch| session.fits(patch)));
    let length = PromptSize::of(session, dial, draft);
    let can_generate = Memo::new(move |_| {
        session.can_ask() && draft.has_prompt() && fits.get() && length.get().problem().is_none()
    });
    let generate = move || {
        if can_generate.get_untracked() {
            draft.send(session, dial);
        }
    };
    let is_busy = Memo::new(move |_| session.is_busy());
    let label = move || {
        let layers = format::count(dial.size.get().n_layers, "layer");
        if !fits.get() {
            return format!("{layers} do not fit in memory");
        }
        let is_again = draft.prompt.with(|prompt| prompt.trim().is_empty());
        let verb = match (draft.chat.is_on(), is_again && draft.chat.has_question()) {
            (false, _) => "Generate",
            (true, false) => "Answer",
            (true, true) => "Answer again",
        };
        match dial.patch.with(|patch| session.n_missing_bytes(patch)) {
            n_bytes if session.can_ask() && n_bytes > 0 => {
                let (n_bytes, verb) = (format::bytes(n_bytes), verb.to_lowercase());
                format!("Load {n_bytes} and {verb} with {layers}")
            }
            _ => format!("{verb} with {layers}"),
        }
    };
    let start_again = move |_| {
        session.set_run_aside();
        draft.chat.start_again();
    };
    view! {
        <div class="panel-head">
            <h2 id="prompt-heading">"Generate text"</h2>
        </div>
        <form
            class="prompt-form"
            on:submit=move |event| {
                event.prevent_default();
                generate();
            }
        >
            <Part control=Control::Prompt limits>
                <PromptField session dial draft length on_submit=generate/>
                <Examples prompts prompt/>
            </Part>
            <div class="button-row">
                <button type="submit" class="primary" id="generate" disabled=move || !can_generate.get()>
                    {label}
                </button>
                <button
                    type="button"
                    id="stop"
                    disabled=move || !is_busy.get()
                    on:click=move |_| session.stop()
                    aria-keyshortcuts="Escape"
                >
                    "Stop"
                </button>
                <Show when=move || draft.chat.has_turns()>
                    <button
                        type="button"
                        id="new-chat"
                        disabled=move || is_busy.get()
                        on:click=start_again
                    >
                        "New chat"
                    </button>
                </Show>
                <span class="quiet key-hint">"Ctrl Enter, Esc"</span>
            </div>
            <div class="prompt-foot">
                <Part control=Control::Sampling limits>
                    <Sampling draft/>
                </Part>
                <Part control=Control::Share limits>
                    <CopyLink address/>
                </Part>
            </div>
        </form>
    }
}

/// The field for the prompt.
#[component]
pub fn PromptField(
    session: Session,
    dial: Dial,
    draft: Draft,
    length: Memo<PromptSize>,
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
    let label = move || if draft.chat.is_on() { "Message" } else { "Prompt" };
    let unknown = Memo::new(move |_| {
        let n_unknown = session.n_unknown_of(&prompt.get())?;
        note(n_unknown, dial.family.with_value(|family| family.is_of_corpus()))
    });
    let hint = move || draft.chat.has_question().then_some("Reply, or answer again with this size");
    view! {
        <div class="prompt-label">
            <label for="prompt">{label}</label>
            {draft.chat.is_offered.then(|| view! { <ChatSwitch draft/> })}
        </div>
        <textarea
            id="prompt"
            rows="2"
            spellcheck="false"
            placeholder=hint
            prop:value=move || prompt.get()
            on:input=move |event| prompt.set(event_target_value(&event))
            on:keydown=on_key
        ></textarea>
        <p class="quiet" id="prompt-tokens">{move || length.get().in_words()}</p>
        <p class="refused" role="alert" id="prompt-refused">{move || length.get().problem()}</p>
        <p class="quiet" role="status" id="unknown-words">{move || unknown.get()}</p>
    }
}

/// Whether the prompt is a message in the chat template, or a text to continue.
#[component]
fn ChatSwitch(draft: Draft) -> impl IntoView {
    let is_chosen = draft.chat.is_chosen;
    view! {
        <label class="switch">
            <input
                type="checkbox"
                id="chat"
                prop:checked=move || is_chosen.get()
                on:change=move |event| is_chosen.set(event_target_checked(&event))
            />
            "Chat"
        </label>
    }
}

/// The length of the text, and how its tokens are chosen.
#[component]
pub fn Sampling(draft: Draft) -> impl IntoView {
    view! {
        <details class="sampling">
            <summary>"Sampling" <span class="quiet">{move || sampling_in_words(draft)}</span></summary>
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
                    options=vec![(SamplingMode::Greedy, "Greedy"), (SamplingMode::Sample, "Sample")]
                    chosen=draft.mode
                />
                <Show when=move || draft.mode.get() == SamplingMode::Sample>
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

/// The settings that are not visible while the section is closed.
fn sampling_in_words(draft: Draft) -> String {
    let tokens = format::count(draft.n_tokens.get(), "token");
    match draft.mode.get() {
        SamplingMode::Greedy => format!(": greedy, up to {tokens}"),
        SamplingMode::Sample => format!(
            ": temperature {}, seed {}, up to {tokens}",
            draft.temperature.get(),
            draft.seed.get()
        ),
    }
}

/// Example prompts.
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
                    {visible(&shown)}
                </button>
            </li>
        }
    };
    (!prompts.is_empty()).then(|| {
        view! {
            <ul class="examples" aria-label="Example prompts">
                {prompts.into_iter().map(example).collect_view()}
            </ul>
        }
    })
}
