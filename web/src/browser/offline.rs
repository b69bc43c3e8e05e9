//! Caching the page for offline use, where the browser supports it.
//!
//! Browsers do not support it over plain http; there the page is always loaded from its server.

use js_sys::{Array, Object, Promise, Reflect};
use leptos::prelude::window;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::MessageChannel;

use crate::browser::js::{call, promised, property};

/// The cache for manifests and the other small files of bundles.
const BUNDLES: &str = "boomerang-bundles";

/// Caches the page's own files without the model's worker, and these files of its bundle: from then on the
/// page opens without a network.
pub async fn prepare(files: &[String]) {
    let prepared = async {
        register().await?;
        keep_files(files).await
    };
    // A page that cannot be cached works as long as its server does.
    let _ = prepared.await;
}

/// Caches these files of the bundle, and the model's worker `engine`, `cpu` or `gpu`.
///
/// True when a reload would work without a network.
pub async fn keep(engine: &str, files: &[String]) -> bool {
    let kept = async {
        let registration = register().await?;
        keep_files(files).await?;
        keep_engine(&registration, engine).await
    };
    kept.await.is_ok_and(|is_kept| is_kept.is_truthy())
}

/// The registration of the service worker, once it is active.
async fn register() -> Result<JsValue, JsValue> {
    let container = Reflect::get(&window().navigator(), &"serviceWorker".into())?;
    if promised(&container, "getRegistration", &[]).await?.is_undefined() {
        promised(&container, "register", &["service-worker.js".into()]).await?;
    }
    let ready: Promise = Reflect::get(&container, &"ready".into())?.dyn_into()?;
    JsFuture::from(ready).await
}

/// Asks the service worker, which knows the files of its build; what it replies.
async fn keep_engine(registration: &JsValue, engine: &str) -> Result<JsValue, JsValue> {
    let worker = property(registration, "active").ok_or("no active service worker")?;
    let channel = MessageChannel::new()?;
    let (here, there) = (channel.port1(), channel.port2());
    let answer = Promise::new(&mut |resolve, _| here.set_onmessage(Some(resolve.unchecked_ref())));
    let message = Object::new();
    Reflect::set(&message, &"engine".into(), &engine.into())?;
    call(&worker, "postMessage", &[message.into(), Array::of1(&there).into()])?;
    let event = JsFuture::from(answer).await?;
    Reflect::get(&event, &"data".into())
}

async fn keep_files(files: &[String]) -> Result<(), JsValue> {
    let caches = Reflect::get(&window(), &"caches".into())?;
    let cache = promised(&caches, "open", &[BUNDLES.into()]).await?;
    let files: Array = files.iter().map(JsValue::from).collect();
    promised(&cache, "addAll", &[files.into()]).await.map(|_| ())
}
