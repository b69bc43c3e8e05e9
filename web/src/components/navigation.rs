//! The header: few entries, the tools of *Explore* in a second row, and the rest behind *More*.

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use crate::browser::view::{Section, View};

#[component]
pub fn Head(view: RwSignal<View>) -> impl IntoView {
    let is_start = move || (view.get() == View::Start).then_some("page");
    view! {
        <header class="head">
            <div class="head-row">
                <a class="brand" href="./" aria-current=is_start>
                    <BrandMark/>
                    "Boomerang"
                </a>
                <nav aria-label="Main">
                    <ul>
                        <SectionLink view section=Section::Explore name="Explore" to=View::Explore/>
                        <SectionLink view section=Section::Train name="Train" to=View::Distill/>
                        <SectionLink view section=Section::Learn name="Learn" to=View::Learn/>
                        <li><More view/></li>
                    </ul>
                </nav>
            </div>
            {move || {
                (view.get().section() == Some(Section::Explore)).then(|| view! { <Tools view/> })
            }}
        </header>
    }
}

#[component]
fn SectionLink(
    view: RwSignal<View>,
    section: Section,
    name: &'static str,
    /// The first of its views.
    to: View,
) -> impl IntoView {
    // With a second row, the page itself is marked there.
    let word = if section == Section::Explore { "true" } else { "page" };
    let current = move || (view.get().section() == Some(section)).then_some(word);
    view! { <li><a href=to.path() aria-current=current>{name}</a></li> }
}

/// The second row: what can be done with the family.
#[component]
fn Tools(view: RwSignal<View>) -> impl IntoView {
    view! {
        <nav class="tools" aria-label="Tools">
            <ul>{View::TOOLS.map(|it| view! { <ViewLink view it/> }).collect_view()}</ul>
        </nav>
    }
}

#[component]
fn ViewLink(view: RwSignal<View>, it: View) -> impl IntoView {
    let current = move || (view.get() == it).then_some("page");
    view! { <li><a href=it.path() aria-current=current>{it.name()}</a></li> }
}

/// A menu that closes on a choice, on Escape, and on a click beside it.
#[component]
fn More(view: RwSignal<View>) -> impl IntoView {
    let menu = NodeRef::<html::Details>::new();
    let close = move || {
        if let Some(menu) = menu.get_untracked() {
            menu.set_open(false);
        }
    };
    let on_click = window_event_listener(leptos::ev::click, move |event| {
        let target = event.target().and_then(|it| it.dyn_into::<web_sys::Element>().ok());
        // The summary opens and closes it by itself.
        let is_summary =
            target.and_then(|it| it.closest(".more > summary").ok().flatten()).is_some();
        if !is_summary {
            close();
        }
    });
    let on_key = window_event_listener(leptos::ev::keydown, move |event| {
        let is_open = menu.get_untracked().is_some_and(|menu| menu.open());
        if event.key() == "Escape" && is_open {
            close();
            let summary = menu.get_untracked().and_then(|it| it.first_element_child());
            if let Some(summary) = summary.and_then(|it| it.dyn_into::<web_sys::HtmlElement>().ok())
            {
                // Without the focus the menu is closed as well.
                let _ = summary.focus();
            }
        }
    });
    on_cleanup(move || {
        on_click.remove();
        on_key.remove();
    });
    let is_here = move || view.get().section() == Some(Section::More);
    view! {
        <details class="more" node_ref=menu>
            <summary class:is-here=is_here>"More"</summary>
            <ul>{View::MORE.map(|it| view! { <ViewLink view it/> }).collect_view()}</ul>
        </details>
    }
}

/// The arc of the icon.
#[component]
fn BrandMark() -> impl IntoView {
    view! {
        <svg class="brand-mark" viewBox="0 0 32 32" aria-hidden="true">
            <path d="M5 24C9 9 23 9 27 24"></path>
            <path d="M20 21l7 4 1-8"></path>
        </svg>
    }
}
