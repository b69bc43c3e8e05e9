//! Yielding to the event loop, so that messages are received between two tokens.

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{MessageChannel, MessagePort};

use crate::fetch::reason;
use crate::notice::Notice;

/// Waits for one turn of the event loop.
///
/// With a message to itself: timers wait for at least four milliseconds, the time of a token.
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
        let event = Promise::new(&mut |resolve, _reject| {
            self.here.set_onmessage(Some(resolve.unchecked_ref()));
            // A port that accepts this message once accepts it always.
            let _ = self.there.post_message(&JsValue::NULL);
        });
        // The promise is never rejected.
        let _ = JsFuture::from(event).await;
    }
}
