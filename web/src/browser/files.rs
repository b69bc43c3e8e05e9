//! Files that the user chooses, and the local storage.

use js_sys::Reflect;
use leptos::prelude::window;
use leptos::task::spawn_local;
use wasm_bindgen::JsValue;
use web_sys::Blob;

use crate::browser::js::promised;

/// A file and its path.
pub type NamedFile = (String, Blob);

/// Larger files are not lessons.
const LARGEST: f64 = 1e6;

/// Calls `take` with the text of the file chosen in a field, unless there is none or it is too large.
pub fn read_chosen(event: &leptos::ev::Event, take: impl FnOnce(String) + 'static) {
    let file = || -> Result<JsValue, JsValue> {
        let field = event.target().ok_or("no field")?;
        let files = Reflect::get(&field, &"files".into())?;
        let file = Reflect::get_u32(&files, 0)?;
        let size = Reflect::get(&file, &"size".into())?.as_f64().unwrap_or_default();
        if size > LARGEST {
            return Err("too large".into());
        }
        Ok(file)
    };
    let Ok(file) = file() else { return };
    spawn_local(async move {
        if let Ok(text) = promised(&file, "text", &[]).await {
            take(text.as_string().unwrap_or_default());
        }
    });
}

/// The text saved under this key, if the browser has storage.
pub fn saved(name: &str) -> Option<String> {
    window().local_storage().ok().flatten()?.get_item(name).ok().flatten()
}

/// Saves a text under this key; a browser without storage is not an error.
pub fn save(name: &str, text: &str) {
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = storage.set_item(name, text);
    }
}
