//! Waiting for an event in another task of the worker.

use std::cell::RefCell;

use js_sys::{Function, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

/// The tasks that wait for an event.
#[derive(Default)]
pub struct Waiters {
    waiting: RefCell<Vec<Function>>,
}

impl Waiters {
    /// Wakes all waiting tasks; each checks its own condition.
    pub fn notify(&self) {
        for resolve in self.waiting.take() {
            // Resolving a promise twice has no effect.
            let _ = resolve.call0(&JsValue::NULL);
        }
    }

    /// Waits for the next notification.
    pub async fn next(&self) {
        let event = Promise::new(&mut |resolve, _reject| {
            self.waiting.borrow_mut().push(resolve);
        });
        // The promise is never rejected.
        let _ = JsFuture::from(event).await;
    }
}
