//! Caching the page for offline use, where the browser supports it.
//!
//! Browsers do not support it over plain http; there the page is always loaded from its server.

use js_sys::{Array, Promise, Reflect};
use leptos::prelude::window;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::browser::js::promised;

/// The cache for manifests and the other small files of bundles.
const BUNDLES: &str = "boomerang-bundles";

/// Caches the page's own files, with the engine `engine`, and these files of its bundle.
///
/// True when a reload would work without a network.
pub async fn keep(engine: &str, files: &[String]) -> bool {
    let kept = async {
        register(engine).await?;
        keep_files(files).await
    };
    kept.await.is_ok()
}

async fn register(engine: &str) -> Result<(), JsValue> {
    let container = Reflect::get(&window().navigator(), &"serviceWorker".into())?;
    let script = format!("service-worker.js?engine={engine}");
    promised(&container, "register", &[script.into()]).await?;
    let ready: Promise = Reflect::get(&container, &"ready".into())?.dyn_into()?;
    JsFuture::from(ready).await.map(|_| ())
}

async fn keep_files(files: &[String]) -> Result<(), JsValue> {
    let caches = Reflect::get(&window(), &"caches".into())?;
    let cache = promised(&caches, "open", &[BUNDLES.into()]).await?;
    let files: Array = files.iter().map(JsValue::from).collect();
    promised(&cache, "addAll", &[files.into()]).await.map(|_| ())
}
