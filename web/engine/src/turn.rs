//! Letting the worker's other messages be heard between two tokens.

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{MessageChannel, MessagePort};

use crate::fetch::reason;
use crate::notice::Notice;

/// A way to wait until the event loop has come round.
///
/// A message to oneself: timers would wait for at least four milliseconds, which is a token's time.
pub(crate) struct Turn {
    here: MessagePort,
    there: MessagePort,
}

impl Turn {
    pub(crate) fn new() -> Result<Self, Notice> {
        let channel = MessageChannel::new().map_err(|error| {
            let next = "Reload the page.";
            Notice::new("The model cannot be interrupted here.", reason(&error), next)
        })?;
        Ok(Self { here: channel.port1(), there: channel.port2() })
    }

    pub(crate) async fn end(&self) {
        let arrival = Promise::new(&mut |resolve, _reject| {
            self.here.set_onmessage(Some(resolve.unchecked_ref()));
            // A port that takes this message once takes it always.
            let _ = self.there.post_message(&JsValue::NULL);
        });
        // The promise has no way to be rejected.
        let _ = JsFuture::from(arrival).await;
    }
}
