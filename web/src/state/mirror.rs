//! The page on a projector and in other pages: a second window that shows what the first does, and a
//! frame that tells its height.

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

/// What a window says that has begun to follow.
const HELLO: &str = "hello";

/// What the presenter's window shows, as a parcel with the version of messages before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shown {
    /// The state of dial and draft, as a query.
    state: String,
    run: Option<Run>,
}

/// Tells following windows what is on the bench, or follows, as the address says.
pub fn start(bench: Bench) {
    let Ok(channel) = BroadcastChannel::new(CHANNEL) else { return };
    let own = StoredValue::new_local(channel.clone());
    // The next bench has a channel of its own, and this one would speak of what is gone.
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
    // A window that has just opened asks for what it missed.
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
    // Nobody may be listening.
    let _ = channel.post_message(message);
}

fn follow(channel: &BroadcastChannel, bench: Bench) {
    let on_message = move |event: MessageEvent| {
        // A window of another build is followed no more once it or this one is loaded anew.
        let Ok(((PROTOCOL, shown), _)) = unpack::<(u32, Shown)>(&event.data()) else { return };
        bench.apply(&Link::parse(&shown.state));
        if bench.session.run.with_untracked(|run| *run != shown.run) {
            bench.session.run.set(shown.run);
        }
    };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message).into_js_value();
    channel.set_onmessage(Some(on_message.unchecked_ref()));
}
