//! The languages that the user reads.

use js_sys::Array;
use leptos::prelude::window;
use wasm_bindgen::JsCast;

use super::js::property;

/// As the browser lists them, the preferred one first: `de-AT`, `en`.
pub fn preferred_languages() -> Vec<String> {
    let languages = property(&window().navigator(), "languages");
    let languages = languages.and_then(|languages| languages.dyn_into::<Array>().ok());
    languages.iter().flat_map(Array::iter).filter_map(|language| language.as_string()).collect()
}
