//! Files that the user can save.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

/// An address that is the file itself.
pub(super) fn data_url(kind: &str, text: &str) -> String {
    format!("data:{kind};charset=utf-8,{}", js_sys::encode_uri_component(text))
}

/// Saves a file that is created on request.
pub(super) fn save(name: &str, address: &str) {
    let Ok(link) = document().create_element("a") else { return };
    // An element whose attributes cannot be set saves nothing.
    let _ = link.set_attribute("download", name);
    let _ = link.set_attribute("href", address);
    link.unchecked_into::<HtmlElement>().click();
}
