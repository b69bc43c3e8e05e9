//! The page on a projector: a second window that shows what the first does.

use boomerang_engine::messages::PROTOCOL;
use boomerang_engine::parcel::{pack, unpack};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{BroadcastChannel, MessageEvent};

use crate::browser::embedding::{CHANNEL, is_following};
use crate::browser::location::{LESSON, opened_link, query};
use crate::browser::route::Route;
use crate::state::bench::Bench;
use crate::state::run::Run;
use crate::text::link::Link;

/// The message of a window that has started to follow.
const HELLO: &str = "hello";

/// What the presenter's window shows; sent after the version of the protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shown {
    /// The view's address, relative to the page's base.
    view: String,
    /// The open lesson.
    lesson: Option<String>,
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
    let route: Route = expect_context();
    if is_following() {
        follow(&channel, bench, route);
        post(&channel, &HELLO.into());
    } else {
        lead(channel, bench, route);
    }
}

fn lead(channel: BroadcastChannel, bench: Bench, route: Route) {
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
        route.n_steps.track();
        let run = bench.session.run.get();
        let view = route.view.get().path().to_owned();
        let shown = Shown { view, lesson: query(LESSON), state: bench.state().query(), run };
        channel.with_value(|channel| post(channel, &pack(&(PROTOCOL, shown), &[])));
    });
}

fn post(channel: &BroadcastChannel, message: &JsValue) {
    // There may be no other window.
    let _ = channel.post_message(message);
}

fn follow(channel: &BroadcastChannel, bench: Bench, route: Route) {
    let on_message = move |event: MessageEvent| {
        // Messages of a window of another build are ignored until one of them is reloaded.
        let Ok(((PROTOCOL, shown), _)) = unpack::<(u32, Shown)>(&event.data()) else { return };
        go_to(route, &shown);
        bench.apply(&Link::parse(&shown.state));
        if bench.session.run.with_untracked(|run| *run != shown.run) {
            bench.session.run.set(shown.run);
        }
    };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(on_message).into_js_value();
    channel.set_onmessage(Some(on_message.unchecked_ref()));
}

/// Goes to the view and the lesson that are shown, unless they are shown already.
fn go_to(route: Route, shown: &Shown) {
    let is_here = route.view.with_untracked(|view| view.path() == shown.view);
    if is_here && query(LESSON) == shown.lesson {
        return;
    }
    // What makes this window follow is in its address, too.
    let mut link = opened_link();
    link.others.retain(|(key, _)| key != LESSON);
    link.others.extend(shown.lesson.clone().map(|lesson| (LESSON.to_owned(), lesson)));
    route.go(&format!("{}{}", shown.view, link.query()));
}
