//! The clipboard.

use leptos::prelude::window;

use crate::browser::js::{promised, property};

/// Copies a text to the clipboard; false where there is none, as on pages loaded over plain http.
pub async fn copy(text: &str) -> bool {
    let Some(clipboard) = property(&window().navigator(), "clipboard") else { return false };
    promised(&clipboard, "writeText", &[text.into()]).await.is_ok()
}
