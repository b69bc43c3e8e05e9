//! Links to the state of the page, and the settings of a link that could not be applied.

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::download::{data_url, save};
use crate::browser::clipboard::copy;
use crate::family::FamilyCard;
use crate::state::address::Address;
use crate::state::dial::Dial;
use crate::state::run::Run;
use crate::state::run::record::{self, Environment};
use crate::state::session::Session;
use crate::text::format;
use crate::text::link::MOST_PROMPT_BYTES;

/// The result of copying.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Copied {
    Yes,
    /// There is no clipboard; the user copies it from a field.
    Manually(String),
}

/// What was copied last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shared {
    Link,
    /// A link without the prompt, which is too long for it.
    LinkAlone,
    Prompt,
}

#[component]
pub fn CopyLink(address: Address) -> impl IntoView {
    let copied = RwSignal::new(None::<Copied>);
    let last = RwSignal::new(Shared::Link);
    let copy_link = move |_| {
        last.set(if address.lacks_prompt() { Shared::LinkAlone } else { Shared::Link });
        copy_or_show(address.to_share(), copied);
    };
    let copy_prompt = move |_| {
        last.set(Shared::Prompt);
        copy_or_show(address.prompt(), copied);
    };
    let words = move || match last.get() {
        Shared::Link => "Copied. The link opens this size and prompt, and generates the same text.",
        Shared::LinkAlone => "Copied, without the prompt.",
        Shared::Prompt => "Prompt copied.",
    };
    let n_bytes = format::number(MOST_PROMPT_BYTES);
    view! {
        <div class="share">
            <button type="button" id="copy-link" on:click=copy_link>"Copy link"</button>
            <Outcome copied words=Signal::derive(words)/>
            <Show when=move || last.get() == Shared::LinkAlone>
                <p class="quiet" id="no-prompt" role="status">
                    "The link does not contain the prompt, which has more than " {n_bytes.clone()}
                    " bytes: send it separately. "
                    <button type="button" class="link" id="copy-prompt" on:click=copy_prompt>
                        "Copy prompt"
                    </button>
                </p>
            </Show>
        </div>
    }
}

/// The generated text as a note, and as a file with all that is needed to generate it again.
#[component]
pub fn KeepRun(session: Session, dial: Dial, address: Address) -> impl IntoView {
    let copied = RwSignal::new(None::<Copied>);
    let environment = move || Environment {
        choice: session.choice.get_untracked(),
        browser: window().navigator().user_agent().unwrap_or_default(),
        link: address.to_share(),
    };
    let written = move |write: fn(&FamilyCard, &Run, &Environment) -> String| {
        let run = session.run.get_untracked()?;
        Some(dial.family.with_value(|family| write(family, &run, &environment())))
    };
    let copy_note = move |_| {
        if let Some(note) = written(record::markdown) {
            copy_or_show(note, copied);
        }
    };
    let save_record = move |_| {
        if let Some(record) = written(record::json) {
            save("boomerang-run.json", &data_url("application/json", &record));
        }
    };
    let is_done = Memo::new(move |_| {
        session.run.with(|run| run.as_ref().is_some_and(|run| run.report.is_some()))
    });
    view! {
        <Show when=move || is_done.get()>
            <p class="saves">
                <button type="button" class="link" id="copy-note" on:click=copy_note>
                    "Copy as Markdown"
                </button>
                <button type="button" class="link" id="save-record" on:click=save_record>
                    "Save as JSON"
                </button>
            </p>
        </Show>
        <Outcome copied words="Copied, with the size, the sampling and a link."/>
    }
}

/// Copies a text to the clipboard, or shows it to be copied by hand.
fn copy_or_show(text: String, copied: RwSignal<Option<Copied>>) {
    spawn_local(async move {
        let is_copied = copy(&text).await;
        copied.set(Some(if is_copied { Copied::Yes } else { Copied::Manually(text) }));
    });
}

#[component]
fn Outcome(
    copied: RwSignal<Option<Copied>>,
    /// Shown after copying.
    #[prop(into)]
    words: Signal<&'static str>,
) -> impl IntoView {
    let outcome = move || match copied.get() {
        None => ().into_any(),
        Some(Copied::Yes) => {
            view! { <p class="quiet" id="link-copied">{words.get()}</p> }.into_any()
        }
        Some(Copied::Manually(text)) => view! { <LinkField text/> }.into_any(),
    };
    view! { <div class="share-outcome" role="status">{outcome}</div> }
}

/// A text to copy by hand, selected as it appears.
#[component]
fn LinkField(text: String) -> impl IntoView {
    let field = NodeRef::<html::Input>::new();
    field.on_load(|field| {
        // The field is in the document with its text only after this callback.
        request_animation_frame(move || {
            // Without the focus the link is still visible.
            let _ = field.focus();
            field.select();
        });
    });
    view! {
        <label class="link-field">
            "The clipboard is not available; copy the text from here."
            <input type="text" id="link-field" readonly node_ref=field value=text/>
        </label>
    }
}

/// The settings of the link that could not be applied.
#[component]
pub fn LinkNotes(problems: Vec<String>) -> impl IntoView {
    let problem = |text: String| view! { <li>{text}</li> };
    (!problems.is_empty()).then(|| {
        view! {
            <div class="link-notes" id="link-notes" role="status">
                <p><strong>"Some settings in this link could not be applied"</strong></p>
                <ul>{problems.into_iter().map(problem).collect_view()}</ul>
            </div>
        }
    })
}
