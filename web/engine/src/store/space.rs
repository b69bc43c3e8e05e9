//! Storage quota, and whether storage is persistent.

use js_sys::Reflect;
use wasm_bindgen::JsValue;

use super::bindings::{given, manager};
use crate::messages::StorageSpace;

/// The browser's estimate; `None` where it gives none, as over plain http.
pub async fn estimate() -> Option<StorageSpace> {
    let estimate: JsValue = given(manager()?.estimate()).await.ok()?;
    let bytes = |name: &str| Some(Reflect::get(&estimate, &name.into()).ok()?.as_f64()? as u64);
    Some(StorageSpace { used_bytes: bytes("usage")?, quota_bytes: bytes("quota")? })
}

/// Whether the browser never evicts stored data; `None` where it does not report it.
pub async fn is_persisted() -> Option<bool> {
    Some(given::<JsValue>(manager()?.persisted()).await.ok()?.is_truthy())
}

/// Asks the browser not to evict stored data; only a page can ask, a worker cannot.
pub async fn persist() -> Option<bool> {
    Some(given::<JsValue>(manager()?.persist()).await.ok()?.is_truthy())
}
