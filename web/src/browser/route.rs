//! From view to view without loading the page anew.
//!
//! A page of eleven views below one base needs of a router what stands here; a general one weighed
//! more than all of its views' words.

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlAnchorElement, MouseEvent};

use crate::browser::view::{Place, base_path};

/// Where the reader is.
#[derive(Clone, Copy)]
pub struct Route {
    pub place: RwSignal<Place>,
    /// Changes with every step from address to address, also where the view stays.
    pub n_steps: RwSignal<u32>,
}

impl Route {
    /// At the page's address; from now on links to views and the browser's own steps lead on.
    pub fn start() -> Self {
        let route = Self { place: RwSignal::new(here()), n_steps: RwSignal::new(0) };
        let on_click = window_event_listener(leptos::ev::click, move |event| route.follow(&event));
        let on_step = window_event_listener(leptos::ev::popstate, move |_| route.arrive());
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
            self.arrive();
            window().scroll_to_with_x_and_y(0.0, 0.0);
        } else {
            // Some frames refuse it; there the page is loaded anew.
            let _ = window().location().assign(&address);
        }
    }

    fn arrive(self) {
        let place = here();
        self.n_steps.update(|n_steps| *n_steps = n_steps.wrapping_add(1));
        if self.place.get_untracked() != place {
            self.place.set(place);
        }
    }

    /// Takes a plain click on a link to a view; all others are the browser's.
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
        let is_here = window().location().origin().is_ok_and(|origin| origin == link.origin());
        let path = link.pathname();
        let below = path.strip_prefix(&base_path()).filter(|below| below.starts_with('/'));
        let Some(below) = below.filter(|_| is_here && Place::of(&path) != Place::Missing) else {
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
fn here() -> Place {
    Place::of(&window().location().pathname().unwrap_or_default())
}
