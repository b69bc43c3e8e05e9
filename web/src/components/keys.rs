//! Keyboard shortcuts for every view, and the list of them.

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

use crate::browser::embedding::open_second_window;
use crate::browser::focus::focus;
use crate::state::bench::use_bench;

const KEYS: [(&str, &str); 11] = [
    ("[  ]", "one size smaller, one size larger"),
    ("← →", "the same, when the dial has focus; Home and End for student and teacher"),
    ("Page ↑ ↓", "three sizes at once, when the dial has focus"),
    ("Space", "swap the block that has focus"),
    ("/", "go to the prompt"),
    ("Ctrl Enter", "generate"),
    ("Esc", "stop"),
    ("Tab", "next control"),
    ("b", "larger text, for a projector"),
    ("w", "open a second window that shows what this one does"),
    ("?", "show this list"),
];

/// What a key does, unless the focus is in a text field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shortcut {
    Smaller,
    Larger,
    Prompt,
    Help,
    Large,
    Window,
}

fn shortcut(key: &str) -> Option<Shortcut> {
    match key {
        "[" => Some(Shortcut::Smaller),
        "]" => Some(Shortcut::Larger),
        "/" => Some(Shortcut::Prompt),
        "?" => Some(Shortcut::Help),
        "b" => Some(Shortcut::Large),
        "w" => Some(Shortcut::Window),
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
        let Some(shortcut) = shortcut(&event.key()) else { return };
        event.prevent_default();
        match (shortcut, bench.get_untracked()) {
            (Shortcut::Help, _) => {
                if let Some(dialog) = dialog.get_untracked() {
                    // Fails only if it is open already.
                    let _ = dialog.show_modal();
                }
            }
            (Shortcut::Large, _) => toggle_large(),
            (Shortcut::Window, _) => open_second_window(),
            (Shortcut::Prompt, _) => focus("prompt"),
            (Shortcut::Smaller, Some(bench)) => bench.dial.step(-1),
            (Shortcut::Larger, Some(bench)) => bench.dial.step(1),
            (Shortcut::Smaller | Shortcut::Larger, None) => {}
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

/// Whether the key is typed into a text field.
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

/// Toggles large text, for a lecture hall.
fn toggle_large() {
    if let Some(root) = document().document_element() {
        // Only invalid class names fail.
        let _ = root.class_list().toggle("is-large");
    }
}
