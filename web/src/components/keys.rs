//! Keys that work on every view, and the list of them.

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

use crate::browser::embedding::open_second_window;
use crate::state::bench::use_bench;

const KEYS: [(&str, &str); 11] = [
    ("[  ]", "one size smaller, one size larger"),
    ("← →", "the same, when the dial has the focus; Home and End for student and teacher"),
    ("Page ↑ ↓", "three sizes at once, when the dial has the focus"),
    ("Space", "exchange the block that has the focus"),
    ("/", "to the beginning of the text"),
    ("Ctrl Enter", "let it write"),
    ("Esc", "stop"),
    ("Tab", "to the next control"),
    ("b", "larger type, for a projector"),
    ("w", "a second window that shows what this one does"),
    ("?", "this list"),
];

/// What a key does, wherever the focus is but in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Smaller,
    Larger,
    Prompt,
    Help,
    Large,
    Window,
}

fn wish(key: &str) -> Option<Wish> {
    match key {
        "[" => Some(Wish::Smaller),
        "]" => Some(Wish::Larger),
        "/" => Some(Wish::Prompt),
        "?" => Some(Wish::Help),
        "b" => Some(Wish::Large),
        "w" => Some(Wish::Window),
        _ => None,
    }
}

#[component]
pub fn Keys() -> impl IntoView {
    let bench = use_bench();
    let dialog = NodeRef::<html::Dialog>::new();
    let on_key = window_event_listener(leptos::ev::keydown, move |event| {
        if event.ctrl_key() || event.alt_key() || event.meta_key() || is_typing(&event) {
            return;
        }
        let Some(wish) = wish(&event.key()) else { return };
        event.prevent_default();
        match (wish, bench.get_untracked()) {
            (Wish::Help, _) => {
                if let Some(dialog) = dialog.get_untracked() {
                    // Refused only while it is open already.
                    let _ = dialog.show_modal();
                }
            }
            (Wish::Large, _) => toggle_large(),
            (Wish::Window, _) => open_second_window(),
            (Wish::Prompt, _) => focus("prompt"),
            (Wish::Smaller, Some(bench)) => bench.dial.step(-1),
            (Wish::Larger, Some(bench)) => bench.dial.step(1),
            (Wish::Smaller | Wish::Larger, None) => {}
        }
    });
    on_cleanup(move || on_key.remove());
    let close = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let row = |(key, what): (&'static str, &'static str)| {
        view! {
            <div>
                <dt><kbd>{key}</kbd></dt>
                <dd>{what}</dd>
            </div>
        }
    };
    view! {
        <dialog id="keys" class="keys" node_ref=dialog aria-labelledby="keys-heading">
            <h2 id="keys-heading">"Keys"</h2>
            <dl>{KEYS.into_iter().map(row).collect_view()}</dl>
            <button type="button" on:click=close>"Close"</button>
        </dialog>
    }
}

/// Whether the key belongs to a text that is being typed.
fn is_typing(event: &leptos::ev::KeyboardEvent) -> bool {
    let target = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok());
    let Some(target) = target else { return false };
    let kind = target.get_attribute("type").unwrap_or_default();
    match target.tag_name().as_str() {
        "TEXTAREA" | "SELECT" => true,
        "INPUT" => !matches!(kind.as_str(), "range" | "checkbox" | "radio"),
        _ => false,
    }
}

/// Type for the last row of a lecture hall, and back.
fn toggle_large() {
    if let Some(root) = document().document_element() {
        // Only a class name with a blank in it would be refused.
        let _ = root.class_list().toggle("is-large");
    }
}

fn focus(id: &str) {
    let element = document().get_element_by_id(id).and_then(|it| it.dyn_into::<HtmlElement>().ok());
    if let Some(element) = element {
        // What cannot be focused stays where it is.
        let _ = element.focus();
    }
}
