//! What the page has as files that the reader can keep.

/// An address that is the file itself.
pub(super) fn data_url(kind: &str, text: &str) -> String {
    format!("data:{kind};charset=utf-8,{}", js_sys::encode_uri_component(text))
}
