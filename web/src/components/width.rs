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
    let observer = StoredValue::new_local(None);
    Effect::new(move |_| {
        let Some(element) = element.get() else { return };
        let measured = element.clone();
        let measure = move || {
            let now = measured.get_bounding_client_rect().width().floor().max(240.0);
            if now != width.get_untracked() {
                set_width.set(now);
            }
        };
        measure();
        let on_resize = Closure::<dyn FnMut()>::new(measure);
        if let Ok(resizes) = ResizeObserver::new(on_resize.as_ref().unchecked_ref()) {
            resizes.observe(&element);
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
    width
}
