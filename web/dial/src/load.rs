//! From an address to a family: the manifest first, then a worker with the smallest size.

use std::rc::Rc;

use boomerang_client::address::manifest_in;
use boomerang_client::budget::Budget;
use boomerang_client::family::FamilyCard;
use boomerang_client::js::property;
use boomerang_engine::fetch::{Redirects, fetch_text};
use js_sys::Function;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::CustomEvent;

use crate::abort::unless_aborted;
use crate::connection::{Connection, Source};
use crate::failure::{Failure, Kind};
use crate::family::Family;
use crate::options::{LoadSettings, address};
use crate::types::{Address, LoadOptions};

/// Loads the bundle at an address: its folder, or its manifest. Resolves once the smallest size can
/// generate; the others are loaded meanwhile.
#[wasm_bindgen]
pub async fn load(url: Address, options: Option<LoadOptions>) -> Result<Family, JsValue> {
    let settings = LoadSettings::read(&options.map_or(JsValue::UNDEFINED, Into::into))?;
    let signal = settings.signal.clone();
    let work = async {
        let connection = OpenedBundle::fetch(&address(&url)?).await?.start(&settings)?;
        connection.smallest_loaded().await?;
        Ok(Family::new(connection))
    };
    unless_aborted(signal.as_ref(), work).await
}

/// A bundle of which the manifest is known.
pub struct OpenedBundle {
    pub card: FamilyCard,
    manifest_url: String,
    manifest: String,
}

impl OpenedBundle {
    /// # Errors
    /// Why there is no usable manifest at this address, which may be relative to the page.
    pub async fn fetch(address: &str) -> Result<Self, Failure> {
        let manifest_url = manifest_in(address, &base()).map_err(|why| {
            let next = "Pass the address of a bundle's folder, which contains manifest.json.";
            Failure::new(Kind::Argument, format!("The bundle cannot be opened: {why}. {next}"))
        })?;
        let manifest_url = manifest_url.href();
        let manifest = fetch_text(&manifest_url, Redirects::Followed).await;
        let manifest = manifest.map_err(|error| Failure::not_fetched(&error))?;
        let card = FamilyCard::from_json(&manifest).map_err(|error| Failure::unusable(&error))?;
        Ok(Self { card, manifest_url, manifest })
    }

    /// How many sizes fit in this browser's memory, smallest first.
    pub fn n_fitting(&self) -> usize {
        Budget::of_cpu().n_sizes(&self.card)
    }

    /// Starts a worker that loads the sizes that fit.
    ///
    /// # Errors
    /// [`Kind::Memory`] when none does, [`Kind::Worker`] when there is no worker.
    pub fn start(&self, settings: &LoadSettings) -> Result<Rc<Connection>, Failure> {
        if let Some(notice) = Budget::of_cpu().refusal(&self.card) {
            return Err(Failure::of_notice(Kind::Memory, &notice));
        }
        let source = Source {
            manifest_url: self.manifest_url.clone(),
            manifest: self.manifest.clone(),
            is_stored: settings.is_stored,
        };
        let worker_url = settings.worker_url.as_deref();
        let connection = Connection::open(self.card.clone(), source, self.n_fitting(), worker_url)?;
        if let Some(on_progress) = settings.on_progress.clone() {
            report_progress(&connection, on_progress);
        }
        Ok(connection)
    }
}

fn report_progress(connection: &Connection, on_progress: Function) {
    let listener = move |event: CustomEvent| {
        on_progress.call1(&JsValue::UNDEFINED, &event.detail()).map(|_| ())
    };
    let listener =
        Closure::<dyn FnMut(CustomEvent) -> Result<(), JsValue>>::new(listener).into_js_value();
    // A listener on an event of this name is never refused.
    let _ =
        connection.events.add_event_listener_with_callback("progress", listener.unchecked_ref());
}

/// Relative addresses are relative to it.
fn base() -> String {
    let global = js_sys::global();
    let of = |object, name| property(&property(&global, object)?, name)?.as_string();
    of("document", "baseURI").or_else(|| of("location", "href")).unwrap_or_default()
}
