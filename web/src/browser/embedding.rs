//! The page inside another page, and a second window that follows it.

use js_sys::{Object, Reflect};
use leptos::prelude::*;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::ResizeObserver;

use crate::browser::location::query;

/// The channel between the windows; also the name of the second one.
pub const CHANNEL: &str = "boomerang-presenter";

/// Whether this page is embedded in another one: `?embed=1`.
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
    // A browser that blocks windows shows that.
    let _ = window().open_with_url_and_target(&address, CHANNEL);
}

/// Reports this page's height to the page around it, now and whenever it changes.
pub fn report_height() {
    let Some(body) = document().body() else { return };
    let measured = body.clone();
    let report = move || {
        let message = Object::new();
        let height = measured.get_bounding_client_rect().height().ceil();
        let properties = [("type", JsValue::from("boomerang-height")), ("height", height.into())];
        for (key, value) in properties {
            // A plain object takes any property.
            let _ = Reflect::set(&message, &key.into(), &value);
        }
        if let Ok(Some(parent)) = window().parent() {
            // The height is not secret, and the page cannot know who embeds it.
            let _ = parent.post_message(&message, "*");
        }
    };
    let on_resize = Closure::<dyn FnMut()>::new(report).into_js_value();
    if let Ok(observer) = ResizeObserver::new(on_resize.unchecked_ref()) {
        observer.observe(&body);
        // It lives as long as the page.
        std::mem::forget(observer);
    }
}
