//! Signals with which programs stop what they have started.

use std::rc::Rc;

use boomerang_engine::waiters::Waiters;
use futures_lite::future::or;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::AbortSignal;

/// Listens to a signal until it is dropped.
pub struct AbortListener {
    signal: AbortSignal,
    on_abort: Closure<dyn FnMut()>,
}

impl AbortListener {
    /// Calls `on_abort` when the signal is aborted from now on.
    pub fn new(signal: &AbortSignal, on_abort: impl FnMut() + 'static) -> Self {
        let on_abort = Closure::<dyn FnMut()>::new(on_abort);
        // A listener on an event of this name is never refused.
        let _ = signal.add_event_listener_with_callback("abort", on_abort.as_ref().unchecked_ref());
        Self { signal: signal.clone(), on_abort }
    }
}

impl Drop for AbortListener {
    fn drop(&mut self) {
        let on_abort = self.on_abort.as_ref().unchecked_ref();
        let _ = self.signal.remove_event_listener_with_callback("abort", on_abort);
    }
}

/// The result of `work`, which is dropped when the signal is aborted before.
///
/// # Errors
/// Those of `work`, or the signal's reason: a `DOMException` named `AbortError`, unless the program gave
/// another.
pub async fn unless_aborted<T>(
    signal: Option<&AbortSignal>,
    work: impl Future<Output = Result<T, JsValue>>,
) -> Result<T, JsValue> {
    let Some(signal) = signal else { return work.await };
    if signal.aborted() {
        return Err(signal.reason());
    }
    let waiters = Rc::new(Waiters::default());
    let ours = Rc::clone(&waiters);
    let _listener = AbortListener::new(signal, move || ours.notify());
    or(work, async {
        waiters.next().await;
        Err(signal.reason())
    })
    .await
}
