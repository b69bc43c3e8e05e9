//! The user's own family: uploaded as a folder or a zip, or loaded from an address.

use std::sync::Arc;

use boomerang_engine::fetch::reason;
use boomerang_engine::notice::Notice;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::notice_box::NoticeBox;
use crate::browser::bundle_source;
use crate::browser::dropped::{Dropped, chosen};
use crate::browser::view::View;
use crate::family::FamilyCard;
use crate::state::upload::{Upload, UploadStage};
use crate::text::format;

#[component]
pub fn UploadPanel(upload: Upload) -> impl IntoView {
    let choose = move |event: leptos::ev::Event| {
        let files = chosen(&event);
        if !files.is_empty() {
            upload.inspect(files);
        }
    };
    // Progress changes often; the parts below are redrawn only when the stage changes.
    let stage = Memo::new_with_compare(
        move |_| upload.stage.get(),
        |before, now| {
            let kind = |stage: Option<&UploadStage>| stage.map(std::mem::discriminant);
            kind(before) != kind(now)
                || matches!(now, Some(UploadStage::Failed(_) | UploadStage::Inspected(_)))
        },
    );
    // In the page from the start: text that is added together with its element is not read aloud.
    let status = move || match stage.get() {
        UploadStage::Inspecting => "Inspecting the files …".into_any(),
        UploadStage::Inspected(card) => in_words(&card).into_any(),
        UploadStage::Loaded { name } => view! {
            {name} " is on the dial. " <a href=View::Explore.path()>"Try it"</a>
        }
        .into_any(),
        UploadStage::Idle | UploadStage::Packing { .. } | UploadStage::Failed(_) => ().into_any(),
    };
    let state = move || {
        match stage.get() {
        UploadStage::Idle | UploadStage::Loaded { .. } => ().into_any(),
        UploadStage::Inspecting => view! {
            <p class="button-row">
                <button type="button" id="own-stop" on:click=move |_| upload.cancel()>"Stop"</button>
            </p>
        }
        .into_any(),
        UploadStage::Inspected(card) => view! { <Inspected upload card/> }.into_any(),
        UploadStage::Packing { .. } => view! { <Packing upload/> }.into_any(),
        UploadStage::Failed(notice) => view! { <NoticeBox notice/> }.into_any(),
    }
    };
    view! {
        <section class="panel" id="own" aria-labelledby="own-heading">
            <div class="panel-head">
                <h2 id="own-heading">"Your own family"</h2>
                <p class="quiet">
                    "Drop a folder or a zip on this page: a teacher and a student as transformers \
                     writes them, with student_config.json, or a bundle. It is read in this \
                     browser and not sent anywhere."
                </p>
            </div>
            <div class="own-fields">
                <label>
                    "Folder"
                    <input type="file" id="own-folder" prop:webkitdirectory=true on:change=choose/>
                </label>
                <label>
                    "Zip file"
                    <input type="file" id="own-zip" accept=".zip" on:change=choose/>
                </label>
            </div>
            <p role="status" id="own-state">{status}</p>
            {state}
            <Elsewhere/>
        </section>
    }
}

/// A summary of the upload, before anything is copied.
fn in_words(card: &FamilyCard) -> String {
    let size = |stop: usize| {
        let size = card.size(&card.path()[stop]);
        let layers = format::count(size.n_layers, "layer");
        format!("{layers} ({} parameters)", format::params(size.n_params))
    };
    format!(
        "{}: {}, from {} to {}; {} in files.",
        card.manifest().name,
        format::count(card.path().len(), "size"),
        size(0),
        size(card.last_stop()),
        format::bytes(card.manifest().n_bytes()),
    )
}

/// Which sizes fit in memory, and the buttons to load or discard the upload.
#[component]
fn Inspected(upload: Upload, card: Arc<FamilyCard>) -> impl IntoView {
    let budget = upload.budget();
    let refusal = budget.refusal(&card);
    let fits = refusal.is_none();
    let limit = budget.in_words(&card);
    view! {
        {limit.map(|words| view! { <p id="own-tight">{words}</p> })}
        {refusal.map(|notice| view! { <NoticeBox notice/> })}
        <p class="button-row">
            {fits.then(|| view! {
                <button type="button" class="primary" id="own-take" on:click=move |_| upload.load()>
                    "Put it on the dial"
                </button>
            })}
            <button type="button" id="own-cancel" on:click=move |_| upload.cancel()>"Discard"</button>
        </p>
    }
}

#[component]
fn Packing(upload: Upload) -> impl IntoView {
    let progress = move || match upload.stage.get() {
        UploadStage::Packing { bytes, total } => (bytes, total.max(1)),
        _ => (1, 1),
    };
    view! {
        <div class="loading">
            <label for="own-progress">"Reading"</label>
            <progress
                id="own-progress"
                value=move || progress().0.to_string()
                max=move || progress().1.to_string()
            ></progress>
            <button type="button" on:click=move |_| upload.cancel()>"Stop"</button>
        </div>
    }
}

/// A bundle at an address; opening it allows requests to its server.
#[component]
fn Elsewhere() -> impl IntoView {
    let address = RwSignal::new(String::new());
    let failure = RwSignal::new(None::<Notice>);
    let open = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        match bundle_source::open(&address.get_untracked(), View::Explore) {
            Ok(()) => failure.set(None),
            Err(notice) => failure.set(Some(notice)),
        }
    };
    view! {
        <form class="own-address" on:submit=open>
            <label for="own-url">"Address of a bundle"</label>
            <input
                type="text"
                inputmode="url"
                id="own-url"
                placeholder="https://example.org/bundle/"
                prop:value=move || address.get()
                on:input=move |event| address.set(event_target_value(&event))
            />
            <button type="submit" id="own-open">"Open"</button>
        </form>
        {move || failure.get().map(|notice| view! { <NoticeBox notice/> })}
    }
}

/// Accepts files dropped anywhere on the page, and shows the upload.
pub fn accept_drops(upload: Upload, show: impl Fn() + Clone + 'static) {
    // Without it, the browser would open the file.
    let over = window_event_listener(leptos::ev::dragover, |event| {
        if Dropped::is_of_files(&event) {
            event.prevent_default();
        }
    });
    let drop = window_event_listener(leptos::ev::drop, move |event| {
        if !Dropped::is_of_files(&event) {
            return;
        }
        event.prevent_default();
        let Some(dropped) = Dropped::of(&event) else { return };
        upload.cancel();
        show();
        let turn = upload.begin();
        spawn_local(async move {
            match dropped.files().await {
                // The user has cancelled it meanwhile, or uploaded something else.
                _ if !upload.is_at(turn) => {}
                Ok(files) => upload.inspect(files),
                Err(error) => {
                    let next = "Drop one folder, or a zip of it.";
                    upload.refuse(Notice::new("These files cannot be read.", reason(&error), next));
                }
            }
        });
    });
    on_cleanup(move || {
        over.remove();
        drop.remove();
    });
}
