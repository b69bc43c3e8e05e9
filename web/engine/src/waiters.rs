//! Waiting until something has happened in another task of the worker.

use std::cell::RefCell;

use js_sys::{Function, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

/// Those who wait for a file, or for the end of waiting.
#[derive(Default)]
pub(crate) struct Arrivals {
    waiting: RefCell<Vec<Function>>,
}

impl Arrivals {
    /// Wakes all who wait; each looks for itself whether it was what it waited for.
    pub(crate) fn tell(&self) {
        for resolve in self.waiting.take() {
            // A promise that is resolved already has nothing to say.
            let _ = resolve.call0(&JsValue::NULL);
        }
    }

    pub(crate) async fn next(&self) {
        let arrival = Promise::new(&mut |resolve, _reject| {
            self.waiting.borrow_mut().push(resolve);
        });
        // The promise has no way to be rejected.
        let _ = JsFuture::from(arrival).await;
    }
}
