//! How much room there is, and whether the browser promises to keep what is stored.

use js_sys::Reflect;
use wasm_bindgen::JsValue;

use super::bindings::{given, manager};
use crate::messages::Space;

/// The browser's estimate; `None` where it makes none, as over plain http.
pub async fn estimate() -> Option<Space> {
    let estimate: JsValue = given(manager()?.estimate()).await.ok()?;
    let bytes = |name: &str| Some(Reflect::get(&estimate, &name.into()).ok()?.as_f64()? as u64);
    Some(Space { used_bytes: bytes("usage")?, quota_bytes: bytes("quota")? })
}

/// Whether the browser clears nothing away by itself; `None` where it does not say.
pub async fn is_persisted() -> Option<bool> {
    Some(given::<JsValue>(manager()?.persisted()).await.ok()?.is_truthy())
}

/// Asks the browser to clear nothing away by itself; only a page can ask, a worker cannot.
pub async fn persist() -> Option<bool> {
    Some(given::<JsValue>(manager()?.persist()).await.ok()?.is_truthy())
}
