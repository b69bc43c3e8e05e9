//! The page's address as the browser has it: its query, read and replaced.

use leptos::prelude::window;
use wasm_bindgen::JsValue;
use web_sys::UrlSearchParams;

use crate::text::link::Link;

/// The query key of the open lesson.
pub const LESSON: &str = "l";

/// A value of the page's query string.
pub fn query(name: &str) -> Option<String> {
    let search = window().location().search().ok()?;
    UrlSearchParams::new_with_str(&search).ok()?.get(name)
}

/// The link in the address: the one that opened the page, later the state it was updated to.
pub fn opened_link() -> Link {
    Link::parse(&window().location().search().unwrap_or_default())
}

/// The current address for another family, without the settings that refer to sizes of this one.
pub fn link_for_another_family() -> Link {
    Link {
        order: None,
        stop: None,
        blocks: None,
        compared: None,
        fingerprint: None,
        ..opened_link()
    }
}

/// `history.replaceState`: no history entry is added, so that "back" leaves the page.
///
/// # Errors
/// What the browser throws; some frames refuse it.
pub fn replace(query: &str) -> Result<(), JsValue> {
    let address = window().location().pathname()? + query;
    window().history()?.replace_state_with_url(&JsValue::NULL, "", Some(&address))
}
