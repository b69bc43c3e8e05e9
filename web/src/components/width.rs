//! The current width of an element.

use leptos::html::Div;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::ResizeObserver;

/// That of a phone, until the element is rendered.
const WIDTH_BEFORE: f64 = 320.0;

/// The width of an element in whole pixels; never below 240.
pub(super) fn width_of(element: NodeRef<Div>) -> ReadSignal<f64> {
    let (width, set_width) = signal(WIDTH_BEFORE);
    on_resize(element, move || {
        let Some(element) = element.get_untracked() else { return };
        let now = element.get_bounding_client_rect().width().floor().max(240.0);
        if now != width.get_untracked() {
            set_width.set(now);
        }
    });
    width
}

/// Runs once the element is rendered, and when its size or that of its first child changes.
pub(super) fn on_resize(element: NodeRef<Div>, run: impl Fn() + Clone + 'static) {
    let observer = StoredValue::new_local(None);
    Effect::new(move |_| {
        let Some(element) = element.get() else { return };
        run();
        let on_resize = Closure::<dyn FnMut()>::new(run.clone());
        if let Ok(resizes) = ResizeObserver::new(on_resize.as_ref().unchecked_ref()) {
            resizes.observe(&element);
            if let Some(content) = element.first_element_child() {
                resizes.observe(&content);
            }
            observer.set_value(Some((resizes, on_resize)));
        }
    });
    on_cleanup(move || {
        observer.update_value(|observer| {
            if let Some((resizes, _)) = observer.take() {
                resizes.disconnect();
            }
        });
    });
}
