//! A link to what is on the page, and what a link asked for that the page does not have.

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::address::{Address, copy};

/// What became of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Copied {
    Yes,
    /// There is no clipboard; the reader copies it from a field.
    ByHand(String),
}

#[component]
pub fn CopyLink(address: Address) -> impl IntoView {
    let copied = RwSignal::new(None::<Copied>);
    let on_click = move |_| {
        let link = address.to_share();
        spawn_local(async move {
            let is_copied = copy(&link).await;
            copied.set(Some(if is_copied { Copied::Yes } else { Copied::ByHand(link) }));
        });
    };
    let outcome = move || match copied.get() {
        None => ().into_any(),
        Some(Copied::Yes) => view! {
            <p class="quiet" id="link-copied">
                "Copied. Whoever opens the link sees this size and prompt, and the same text."
            </p>
        }
        .into_any(),
        Some(Copied::ByHand(link)) => view! { <LinkField link/> }.into_any(),
    };
    view! {
        <div class="share">
            <button type="button" id="copy-link" on:click=on_click>"Copy link"</button>
            <div class="share-outcome" role="status">{outcome}</div>
        </div>
    }
}

/// The link to copy by hand, selected as it appears.
#[component]
fn LinkField(link: String) -> impl IntoView {
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
            "This browser lets the page copy nothing; copy the link from here."
            <input type="text" id="link-field" readonly node_ref=field value=link/>
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
