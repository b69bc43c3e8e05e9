//! A message between page and worker: a text, and beside it files, which are not copied.

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Blob;

/// A text alone stays a text; with files it is the first of a list.
pub fn pack(text: &str, files: &[Blob]) -> JsValue {
    let text = JsValue::from_str(text);
    if files.is_empty() {
        return text;
    }
    let files = files.iter().map(|file| JsValue::from(file.clone()));
    [text].into_iter().chain(files).collect::<Array>().into()
}

/// Text and files of a message; what is neither is left out.
pub fn unpack(message: &JsValue) -> (String, Vec<Blob>) {
    let Some(list) = message.dyn_ref::<Array>() else {
        return (message.as_string().unwrap_or_default(), Vec::new());
    };
    let text = list.get(0).as_string().unwrap_or_default();
    let files = list.iter().skip(1).filter_map(|file| file.dyn_into().ok());
    (text, files.collect())
}
