//! The page on a projector: a second window that shows what the first does.

use boomerang_engine::messages::PROTOCOL;
use boomerang_engine::parcel::{pack, unpack};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{BroadcastChannel, MessageEvent};

use crate::browser::embedding::{CHANNEL, is_following};
use crate::state::bench::Bench;
use crate::state::run::Run;
use crate::text::link::Link;

/// The message of a window that has started to follow.
const HELLO: &str = "hello";

/// What the presenter's window shows; sent after the version of the protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shown {
    /// The state of dial and draft, as a query.
    state: String,
    run: Option<Run>,
}

/// Sends the state of the bench to following windows, or follows, depending on the address.
pub fn start(bench: Bench) {
    let Ok(channel) = BroadcastChannel::new(CHANNEL) else { return };
    let own = StoredValue::new_local(channel.clone());
    // The next bench has its own channel, and this one would send an outdated state.
    on_cleanup(move || {
        let _ = own.try_with_value(|channel| {
            channel.set_onmessage(None);
            channel.close();
        });
    });
    if is_following() {
        follow(&channel, bench);
        post(&channel, &HELLO.into());
    } else {
        lead(channel, bench);
    }
}

fn lead(channel: BroadcastChannel, bench: Bench) {
    // A window that was just opened requests the current state.
    let asked = RwSignal::new(0_u32);
    let on_message = move |event: MessageEvent| {
        if event.data().as_string().as_deref() == Some(HELLO) {
            asked.update(|asked| *asked = asked.wrapping_add(1));
        }
    };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message).into_js_value();
    channel.set_onmessage(Some(on_message.unchecked_ref()));
    let channel = StoredValue::new_local(channel);
    Effect::new(move |_| {
        asked.track();
        bench.dial.patch.track();
        bench.draft.prompt.track();
        let run = bench.session.run.get();
        let shown = Shown { state: bench.state().query(), run };
        channel.with_value(|channel| post(channel, &pack(&(PROTOCOL, shown), &[])));
    });
}

fn post(channel: &BroadcastChannel, message: &JsValue) {
    // There may be no other window.
    let _ = channel.post_message(message);
}

fn follow(channel: &BroadcastChannel, bench: Bench) {
    let on_message = move |event: MessageEvent| {
        // Messages of a window of another build are ignored until one of them is reloaded.
        let Ok(((PROTOCOL, shown), _)) = unpack::<(u32, Shown)>(&event.data()) else { return };
        bench.apply(&Link::parse(&shown.state));
        if bench.session.run.with_untracked(|run| *run != shown.run) {
            bench.session.run.set(shown.run);
        }
    };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message).into_js_value();
    channel.set_onmessage(Some(on_message.unchecked_ref()));
}
