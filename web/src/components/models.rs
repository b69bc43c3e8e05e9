//! What this browser keeps: models, where they are, and what can be done with them.

use boomerang_core::bundle::MANIFEST;
use boomerang_engine::messages::StoredModel;
use boomerang_engine::store::is_kept_only;
use leptos::prelude::*;

use super::notice_box::NoticeBox;
use crate::browser::bundle_source;
use crate::browser::view::Place;
use crate::state::session::Session;
use crate::state::stored::{model_in_words, place_in_words, space_in_words};

#[component]
pub fn Models(session: Session) -> impl IntoView {
    let stored = session.stored;
    session.look_at_store();
    on_cleanup(move || stored.rest());
    // The fingerprint of a model whose deletion is to be confirmed.
    let doomed = RwSignal::new(None::<String>);
    let list = move || {
        let report = stored.report.get()?;
        let rows = report.models.into_iter().map(|model| view! { <Row session model doomed/> });
        let rows = rows.collect_view();
        Some(view! { <ul class="models" id="stored-models">{rows}</ul> })
    };
    let state = move || {
        stored.report.with(|report| match report {
            None => "Looking …",
            Some(report) if report.models.is_empty() => "Nothing is stored.",
            Some(_) => "",
        })
    };
    let failure = move || stored.failure.get().map(|notice| view! { <NoticeBox notice/> });
    view! {
        <section class="panel" id="models" aria-labelledby="models-heading">
            <div class="panel-head">
                <h1 id="models-heading">"What is stored"</h1>
                <p class="quiet">
                    "Models that this browser keeps, so that the next visit fetches nothing twice."
                </p>
            </div>
            <p role="status" id="models-state">{state}</p>
            {list}
            {failure}
            <Facts session/>
        </section>
    }
}

#[component]
fn Row(session: Session, model: StoredModel, doomed: RwSignal<Option<String>>) -> impl IntoView {
    let words = model_in_words(&model);
    let StoredModel { name, fingerprint, url, .. } = model;
    let address =
        if is_kept_only(&url) { "brought from this machine".to_owned() } else { url.clone() };
    let folder = url.strip_suffix(MANIFEST).unwrap_or(&url).to_owned();
    let open = move |_| {
        // It may come without a network, and its server was asked before.
        if let Err(notice) = bundle_source::open(&folder, Place::Explore) {
            session.stored.failure.set(Some(notice));
        }
    };
    let this = StoredValue::new(fingerprint.clone());
    let is_this = move |other: &str| this.with_value(|this| this == other);
    let is_doomed =
        Memo::new(move |_| doomed.with(|doomed| doomed.as_deref().is_some_and(is_this)));
    let delete = move |_| {
        if is_doomed.get_untracked() {
            doomed.set(None);
            session.delete_stored(this.get_value());
        } else {
            doomed.set(Some(this.get_value()));
        }
    };
    let news = move || {
        if is_doomed.get() {
            return Some("Press again to delete.".to_owned());
        }
        session.stored.verification.with(|verification| {
            let verification = verification.as_ref()?;
            is_this(&verification.fingerprint).then(|| verification.in_words())
        })
    };
    view! {
        <li data-fingerprint=fingerprint>
            <h2>{name} " " <code>{this.get_value()}</code></h2>
            <p class="model-words">{words}</p>
            <p class="quiet model-url">{address}</p>
            <div class="button-row">
                <button type="button" class="open" on:click=open>"Open"</button>
                <button
                    type="button"
                    class="verify"
                    on:click=move |_| session.verify_stored(this.get_value())
                >
                    "Verify"
                </button>
                <button
                    type="button"
                    class="delete"
                    on:click=delete
                    on:blur=move |_| doomed.set(None)
                >
                    {move || if is_doomed.get() { "Really delete" } else { "Delete" }}
                </button>
                <p class="quiet" role="status">{news}</p>
            </div>
        </li>
    }
}

/// Where models are kept, how much room there is, and what the browser promises.
#[component]
fn Facts(session: Session) -> impl IntoView {
    let stored = session.stored;
    let is_secure = window().is_secure_context();
    let place = move || stored.report.with(|report| report.as_ref().map(place_in_words));
    let space = move || {
        stored.space.get().map_or_else(|| "the browser does not say".to_owned(), space_in_words)
    };
    let promise = move || match stored.is_persisted.get() {
        Some(true) => "kept until you delete it",
        Some(false) => "cleared away when the disk is full or the page is not visited for long",
        None if is_secure => "the browser does not say",
        None => "none: browsers promise it only over https or on localhost",
    };
    let can_ask = move || stored.is_persisted.get() == Some(false);
    let connection =
        if is_secure { "secure: https or localhost" } else { "not secure: plain http" };
    // A promise that was refused looks as before, so what was asked is remembered.
    let has_asked = RwSignal::new(false);
    let ask = move |_| {
        has_asked.set(true);
        stored.persist();
    };
    let answer = move || {
        (has_asked.get() && can_ask())
            .then_some("The browser has not promised it; a bookmark of this page may help.")
    };
    view! {
        <dl class="store-facts">
            <div>
                <dt>"Kept in"</dt>
                <dd id="stored-place">{place}</dd>
            </div>
            <div>
                <dt>"Room"</dt>
                <dd id="stored-space">{space}</dd>
            </div>
            <div>
                <dt>"Promise"</dt>
                <dd id="stored-promise">{promise}</dd>
            </div>
            <div>
                <dt>"Connection"</dt>
                <dd id="stored-connection">{connection}</dd>
            </div>
        </dl>
        <div class="button-row">
            <button type="button" id="keep-it" disabled=move || !can_ask() on:click=ask>
                "Keep it"
            </button>
            <p class="quiet" role="status">{answer}</p>
        </div>
    }
}
