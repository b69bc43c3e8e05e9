//! The page on a projector and in other pages: a second window that shows what the first does, and a
//! frame that tells its height.

use boomerang_engine::messages::PROTOCOL;
use boomerang_engine::parcel::{pack, unpack};
use js_sys::{Object, Reflect};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{BroadcastChannel, MessageEvent, ResizeObserver};

use crate::bench::Bench;
use crate::bundle_source::query;
use crate::link::Link;
use crate::run::Run;

const CHANNEL: &str = "boomerang-presenter";
/// What a window says that has begun to follow.
const HELLO: &str = "hello";

/// What the presenter's window shows, as a parcel with the version of messages before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shown {
    /// The state of dial and draft, as a query.
    state: String,
    run: Option<Run>,
}

/// Whether this page stands in another one: `?embed=1`.
pub fn is_embedded() -> bool {
    query("embed").is_some_and(|value| value == "1")
}

/// Whether this window follows a presenter's: `?follow=1`.
pub fn is_following() -> bool {
    query("follow").is_some_and(|value| value == "1")
}

/// Opens a second window that follows this one.
pub fn open_second_window() {
    let location = window().location();
    let path = location.pathname().unwrap_or_default();
    let search = location.search().unwrap_or_default();
    let sign = if search.is_empty() { '?' } else { '&' };
    let address = format!("{path}{search}{sign}follow=1");
    // A browser that opens no windows tells its reader so.
    let _ = window().open_with_url_and_target(&address, CHANNEL);
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

/// Tells the page around this one how high it is, now and whenever that changes.
pub fn tell_height() {
    let Some(body) = document().body() else { return };
    let measured = body.clone();
    let tell = move || {
        let message = Object::new();
        let height = measured.get_bounding_client_rect().height().ceil();
        let told = [("type", JsValue::from("boomerang-height")), ("height", height.into())];
        for (key, value) in told {
            // A plain object takes any property.
            let _ = Reflect::set(&message, &key.into(), &value);
        }
        if let Ok(Some(parent)) = window().parent() {
            // The height is no secret, and the page cannot know who frames it.
            let _ = parent.post_message(&message, "*");
        }
    };
    let on_resize = Closure::<dyn FnMut()>::new(tell).into_js_value();
    if let Ok(observer) = ResizeObserver::new(on_resize.unchecked_ref()) {
        observer.observe(&body);
        // It lives as long as the page.
        std::mem::forget(observer);
    }
}
