//! Navigation between views without reloading the page.
//!
//! This is all that eleven views below one base need of a router; a general one was larger than all of
//! their texts.

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlAnchorElement, MouseEvent};

use crate::browser::view::{View, base_path};

/// The current view.
#[derive(Clone, Copy)]
pub struct Route {
    pub view: RwSignal<View>,
    /// Changes with every navigation, also within a view.
    pub n_steps: RwSignal<u32>,
}

impl Route {
    /// Starts at the page's address, and follows links to views and the browser's back and forward.
    pub fn start() -> Self {
        let route = Self { view: RwSignal::new(current_view()), n_steps: RwSignal::new(0) };
        let on_click = window_event_listener(leptos::ev::click, move |event| route.follow(&event));
        let on_step = window_event_listener(leptos::ev::popstate, move |_| route.update());
        on_cleanup(move || {
            on_click.remove();
            on_step.remove();
        });
        route
    }

    /// Goes to an address relative to the page's base.
    pub fn go(self, address: &str) {
        let address = base_path() + "/" + address.trim_start_matches("./");
        let pushed = window()
            .history()
            .and_then(|history| history.push_state_with_url(&JsValue::NULL, "", Some(&address)));
        if pushed.is_ok() {
            self.update();
            window().scroll_to_with_x_and_y(0.0, 0.0);
        } else {
            // Some frames refuse it; there the page is reloaded.
            let _ = window().location().assign(&address);
        }
    }

    fn update(self) {
        let view = current_view();
        self.n_steps.update(|n_steps| *n_steps = n_steps.wrapping_add(1));
        if self.view.get_untracked() != view {
            self.view.set(view);
        }
    }

    /// Handles a plain click on a link to a view; all others are left to the browser.
    fn follow(self, event: &MouseEvent) {
        let is_plain = event.button() == 0
            && !(event.meta_key() || event.alt_key() || event.ctrl_key() || event.shift_key());
        if !is_plain || event.default_prevented() {
            return;
        }
        let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        let link = target.and_then(|target| target.closest("a[href]").ok().flatten());
        let Some(link) = link.and_then(|link| link.dyn_into::<HtmlAnchorElement>().ok()) else {
            return;
        };
        let is_external = link.rel().split_ascii_whitespace().any(|word| word == "external");
        if !link.target().is_empty() || link.has_attribute("download") || is_external {
            return;
        }
        let is_same_origin =
            window().location().origin().is_ok_and(|origin| origin == link.origin());
        let path = link.pathname();
        let below = path.strip_prefix(&base_path()).filter(|below| below.starts_with('/'));
        let Some(below) = below.filter(|_| is_same_origin && View::of(&path) != View::Missing)
        else {
            return;
        };
        event.prevent_default();
        if window().location().href().is_ok_and(|here| here == link.href()) {
            return window().scroll_to_with_x_and_y(0.0, 0.0);
        }
        self.go(&format!("{}{}{}", below.trim_start_matches('/'), link.search(), link.hash()));
    }
}

/// The view of the page's address.
fn current_view() -> View {
    View::of(&window().location().pathname().unwrap_or_default())
}
