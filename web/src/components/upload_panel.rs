//! A family of the reader's own: brought as a folder or a zip, or fetched from an address.

use std::sync::Arc;

use boomerang_engine::fetch::reason;
use boomerang_engine::notice::Notice;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::notice_box::NoticeBox;
use crate::browser::bundle_source;
use crate::browser::dropped::{Dropped, chosen};
use crate::browser::view::Place;
use crate::family::FamilyCard;
use crate::state::upload::{Own, Stage};
use crate::text::format;

#[component]
pub fn OwnModels(own: Own) -> impl IntoView {
    let choose = move |event: leptos::ev::Event| {
        let files = chosen(&event);
        if !files.is_empty() {
            own.bring(files);
        }
    };
    // What is packed tells of itself often; the parts below are drawn anew only when they change.
    let stage = Memo::new_with_compare(
        move |_| own.stage.get(),
        |before, now| {
            let kind = |stage: Option<&Stage>| stage.map(std::mem::discriminant);
            kind(before) != kind(now) || matches!(now, Some(Stage::Failed(_) | Stage::Found(_)))
        },
    );
    // In the page from the start: what comes together with its element is not read aloud.
    let told = move || match stage.get() {
        Stage::Looking => "Reading what the files are …".into_any(),
        Stage::Found(card) => in_words(&card).into_any(),
        Stage::Taken { name } => view! {
            {name} " is on the dial. " <a href=Place::Explore.path()>"Write with it"</a>
        }
        .into_any(),
        Stage::Idle | Stage::Packing { .. } | Stage::Failed(_) => ().into_any(),
    };
    let state = move || match stage.get() {
        Stage::Idle | Stage::Taken { .. } => ().into_any(),
        Stage::Looking => view! {
            <p class="button-row">
                <button type="button" id="own-stop" on:click=move |_| own.cancel()>"Stop"</button>
            </p>
        }
        .into_any(),
        Stage::Found(card) => view! { <Found own card/> }.into_any(),
        Stage::Packing { .. } => view! { <Packing own/> }.into_any(),
        Stage::Failed(notice) => view! { <NoticeBox notice/> }.into_any(),
    };
    view! {
        <section class="panel" id="own" aria-labelledby="own-heading">
            <div class="panel-head">
                <h2 id="own-heading">"Your own family"</h2>
                <p class="quiet">
                    "Drop a folder or a zip on this page: a teacher and a student as transformers \
                     writes them, with student_config.json, or a bundle. It is read here, in this \
                     browser, and goes nowhere else."
                </p>
            </div>
            <div class="own-fields">
                <label>
                    "A folder"
                    <input type="file" id="own-folder" prop:webkitdirectory=true on:change=choose/>
                </label>
                <label>
                    "A zip"
                    <input type="file" id="own-zip" accept=".zip" on:change=choose/>
                </label>
            </div>
            <p role="status" id="own-state">{told}</p>
            {state}
            <Elsewhere/>
        </section>
    }
}

/// What was brought, before anything of it is copied.
fn in_words(card: &FamilyCard) -> String {
    let size = |place: usize| {
        let size = card.size(&card.path()[place]);
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

/// What of it has room, and what the reader can do with it.
#[component]
fn Found(own: Own, card: Arc<FamilyCard>) -> impl IntoView {
    let budget = own.budget();
    let refusal = budget.refusal(&card);
    let has_room = refusal.is_none();
    let tight = budget.in_words(&card);
    view! {
        {tight.map(|words| view! { <p id="own-tight">{words}</p> })}
        {refusal.map(|notice| view! { <NoticeBox notice/> })}
        <p class="button-row">
            {has_room.then(|| view! {
                <button type="button" class="primary" id="own-take" on:click=move |_| own.take()>
                    "Put it on the dial"
                </button>
            })}
            <button type="button" id="own-cancel" on:click=move |_| own.cancel()>"Leave it"</button>
        </p>
    }
}

#[component]
fn Packing(own: Own) -> impl IntoView {
    let of = move || match own.stage.get() {
        Stage::Packing { bytes, total } => (bytes, total.max(1)),
        _ => (1, 1),
    };
    view! {
        <div class="loading">
            <label for="own-progress">"Reading"</label>
            <progress
                id="own-progress"
                value=move || of().0.to_string()
                max=move || of().1.to_string()
            ></progress>
            <button type="button" on:click=move |_| own.cancel()>"Stop"</button>
        </div>
    }
}

/// A bundle at an address; another server is asked only because the reader says so here.
#[component]
fn Elsewhere() -> impl IntoView {
    let address = RwSignal::new(String::new());
    let failure = RwSignal::new(None::<Notice>);
    let open = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        match bundle_source::open(&address.get_untracked(), Place::Explore) {
            Ok(()) => failure.set(None),
            Err(notice) => failure.set(Some(notice)),
        }
    };
    view! {
        <form class="own-address" on:submit=open>
            <label for="own-url">"A bundle's address"</label>
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

/// Takes what is dropped anywhere on the page, and shows the reader where it goes.
pub fn take_drops(own: Own, show: impl Fn() + Clone + 'static) {
    // Without it, the browser leaves the page for the file.
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
        own.cancel();
        show();
        let turn = own.begin();
        spawn_local(async move {
            match dropped.files().await {
                // The reader has stopped it meanwhile, or brought something else.
                _ if !own.is_at(turn) => {}
                Ok(files) => own.bring(files),
                Err(error) => {
                    let next = "Drop one folder, or a zip of it.";
                    own.refuse(Notice::new("These files cannot be read.", reason(&error), next));
                }
            }
        });
    });
    on_cleanup(move || {
        over.remove();
        drop.remove();
    });
}
