//! A message between page and worker: a text, and beside it files as the bytes that they are.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

/// A text alone stays a text; with files it is the first of a list.
pub fn pack(text: &str, files: &[Uint8Array]) -> JsValue {
    let text = JsValue::from_str(text);
    if files.is_empty() {
        return text;
    }
    let files = files.iter().map(|file| JsValue::from(file.clone()));
    [text].into_iter().chain(files).collect::<Array>().into()
}

/// Text and files of a message; what is neither is left out.
pub fn unpack(message: &JsValue) -> (String, Vec<Uint8Array>) {
    let Some(list) = message.dyn_ref::<Array>() else {
        return (message.as_string().unwrap_or_default(), Vec::new());
    };
    let text = list.get(0).as_string().unwrap_or_default();
    let files = list.iter().skip(1).filter_map(|file| file.dyn_into().ok());
    (text, files.collect())
}

/// What moves with a message instead of being copied.
pub(crate) fn moved(files: &[Uint8Array]) -> Array {
    files.iter().map(Uint8Array::buffer).collect()
}
