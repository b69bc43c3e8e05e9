//! A link to what is on the page, and what a link asked for that the page does not have.

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::download::{data_url, save};
use crate::browser::clipboard::copy;
use crate::family::FamilyCard;
use crate::state::address::Address;
use crate::state::dial::Dial;
use crate::state::run::Run;
use crate::state::run::record::{self, Circumstances};
use crate::state::session::Session;

/// What became of what was to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Copied {
    Yes,
    /// There is no clipboard; the reader copies it from a field.
    ByHand(String),
}

#[component]
pub fn CopyLink(address: Address) -> impl IntoView {
    let copied = RwSignal::new(None::<Copied>);
    let on_click = move |_| hand_over(address.to_share(), copied);
    let words = "Copied. Whoever opens the link sees this size and prompt, and the same text.";
    view! {
        <div class="share">
            <button type="button" id="copy-link" on:click=on_click>"Copy link"</button>
            <Outcome copied words/>
        </div>
    }
}

/// The text that was written, as a note and as a file that says how to write it again.
#[component]
pub fn KeepRun(session: Session, dial: Dial, address: Address) -> impl IntoView {
    let copied = RwSignal::new(None::<Copied>);
    let circumstances = move || Circumstances {
        choice: session.choice.get_untracked(),
        browser: window().navigator().user_agent().unwrap_or_default(),
        link: address.to_share(),
    };
    let told = move |tell: fn(&FamilyCard, &Run, &Circumstances) -> String| {
        let run = session.run.get_untracked()?;
        Some(dial.family.with_value(|family| tell(family, &run, &circumstances())))
    };
    let copy_note = move |_| {
        if let Some(note) = told(record::markdown) {
            hand_over(note, copied);
        }
    };
    let save_record = move |_| {
        if let Some(record) = told(record::json) {
            save("boomerang-run.json", &data_url("application/json", &record));
        }
    };
    let is_written = Memo::new(move |_| {
        session.run.with(|run| run.as_ref().is_some_and(|run| run.report.is_some()))
    });
    view! {
        <Show when=move || is_written.get()>
            <p class="saves">
                <button type="button" class="link" id="copy-note" on:click=copy_note>
                    "Copy as a note"
                </button>
                <button type="button" class="link" id="save-record" on:click=save_record>
                    "Save the record"
                </button>
            </p>
        </Show>
        <Outcome copied words="Copied, with the size, the sampling and a link."/>
    }
}

/// Puts a text on the clipboard, or where the reader can take it.
fn hand_over(text: String, copied: RwSignal<Option<Copied>>) {
    spawn_local(async move {
        let is_copied = copy(&text).await;
        copied.set(Some(if is_copied { Copied::Yes } else { Copied::ByHand(text) }));
    });
}

#[component]
fn Outcome(
    copied: RwSignal<Option<Copied>>,
    /// When it is on the clipboard.
    words: &'static str,
) -> impl IntoView {
    let outcome = move || match copied.get() {
        None => ().into_any(),
        Some(Copied::Yes) => view! { <p class="quiet" id="link-copied">{words}</p> }.into_any(),
        Some(Copied::ByHand(text)) => view! { <LinkField text/> }.into_any(),
    };
    view! { <div class="share-outcome" role="status">{outcome}</div> }
}

/// A text to copy by hand, selected as it appears.
#[component]
fn LinkField(text: String) -> impl IntoView {
    let field = NodeRef::<html::Input>::new();
    field.on_load(|field| {
        // The field is in the document and has its text only after this has run.
        request_animation_frame(move || {
            // A browser that does not focus still shows the link.
            let _ = field.focus();
            field.select();
        });
    });
    view! {
        <label class="link-field">
            "This browser lets the page copy nothing; copy it from here."
            <input type="text" id="link-field" readonly node_ref=field value=text/>
        </label>
    }
}

/// What the link by which the page was opened asks for and does not get.
#[component]
pub fn LinkNotes(complaints: Vec<String>) -> impl IntoView {
    let complaint = |text: String| view! { <li>{text}</li> };
    (!complaints.is_empty()).then(|| {
        view! {
            <div class="link-notes" id="link-notes" role="status">
                <p><strong>"Not all is as in the link."</strong></p>
                <ul>{complaints.into_iter().map(complaint).collect_view()}</ul>
            </div>
        }
    })
}
