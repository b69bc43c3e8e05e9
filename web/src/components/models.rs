//! Stored models: the list, and the kind of storage.

use boomerang_core::bundle::MANIFEST;
use boomerang_engine::messages::StoredModel;
use boomerang_engine::store::is_kept_only;
use leptos::prelude::*;

use super::notice_box::NoticeBox;
use crate::browser::bundle_source;
use crate::browser::view::View;
use crate::state::session::Session;
use crate::state::stored::{model_in_words, space_in_words, storage_in_words};

#[component]
pub fn Models(session: Session) -> impl IntoView {
    let stored = session.stored;
    session.list_stored();
    on_cleanup(move || stored.end_keeper());
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
            None => "Loading the list …",
            Some(report) if report.models.is_empty() => "No models are stored.",
            Some(_) => "",
        })
    };
    let failure = move || stored.failure.get().map(|notice| view! { <NoticeBox notice/> });
    view! {
        <section class="panel" id="models" aria-labelledby="models-heading">
            <div class="panel-head">
                <h1 id="models-heading">"Stored models"</h1>
                <p class="quiet">
                    "Models that are stored in this browser, so that they are not downloaded again."
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
        if is_kept_only(&url) { "uploaded from this machine".to_owned() } else { url.clone() };
    let folder = url.strip_suffix(MANIFEST).unwrap_or(&url).to_owned();
    let open = move |_| {
        // It may be available offline, and its server was allowed before.
        if let Err(notice) = bundle_source::open(&folder, View::Explore) {
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
    let status = move || {
        if is_doomed.get() {
            return Some("Click again to delete.".to_owned());
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
                <p class="quiet" role="status">{status}</p>
            </div>
        </li>
    }
}

/// The kind of storage, the quota, and persistence.
#[component]
fn Facts(session: Session) -> impl IntoView {
    let stored = session.stored;
    let is_secure = window().is_secure_context();
    let storage = move || stored.report.with(|report| report.as_ref().map(storage_in_words));
    let space = move || {
        stored.space.get().map_or_else(|| "not reported by this browser".to_owned(), space_in_words)
    };
    let persistence = move || match stored.is_persisted.get() {
        Some(true) => "stored until you delete it",
        Some(false) => "may be deleted by the browser when disk space is low or after a long time",
        None if is_secure => "not reported by this browser",
        None => "not available: requires https or localhost",
    };
    let can_ask = move || stored.is_persisted.get() == Some(false);
    let connection =
        if is_secure { "secure: https or localhost" } else { "not secure: plain http" };
    // A refusal leaves the state unchanged, so the request is remembered.
    let has_asked = RwSignal::new(false);
    let ask = move |_| {
        has_asked.set(true);
        stored.persist();
    };
    let answer = move || {
        (has_asked.get() && can_ask())
            .then_some("The browser has refused; bookmarking this page may help.")
    };
    view! {
        <dl class="store-facts">
            <div>
                <dt>"Stored in"</dt>
                <dd id="stored-place">{storage}</dd>
            </div>
            <div>
                <dt>"Quota"</dt>
                <dd id="stored-space">{space}</dd>
            </div>
            <div>
                <dt>"Persistence"</dt>
                <dd id="stored-promise">{persistence}</dd>
            </div>
            <div>
                <dt>"Connection"</dt>
                <dd id="stored-connection">{connection}</dd>
            </div>
        </dl>
        <div class="button-row">
            <button type="button" id="keep-it" disabled=move || !can_ask() on:click=ask>
                "Ask the browser to keep it"
            </button>
            <p class="quiet" role="status">{answer}</p>
        </div>
    }
}
