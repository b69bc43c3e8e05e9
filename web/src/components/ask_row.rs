//! A request to the model: the buttons to start and stop it, and its status.

use boomerang_engine::notice::Notice;
use leptos::prelude::*;

use super::notice_box::NoticeBox;
use crate::state::session::Session;

#[component]
pub fn AskRow(
    session: Session,
    /// Of the button; the other two have `-stop` and `-state` appended.
    id: &'static str,
    #[prop(into)] label: Signal<String>,
    can_start: Memo<bool>,
    is_running: Memo<bool>,
    on_start: impl Fn() + 'static,
    #[prop(into)] words: Signal<String>,
    /// Whether the status only repeats what is visible anyway.
    #[prop(optional)]
    is_quiet: bool,
    /// Whether the teacher is needed, which may not fit in memory.
    #[prop(optional)]
    needs_teacher: bool,
) -> impl IntoView {
    let is_too_large = move || needs_teacher && !session.fits_all();
    let words = move || match session.memory_summary() {
        Some(summary) if is_too_large() => {
            format!("The teacher is needed for this and does not fit in memory: {summary}.")
        }
        _ => words.get(),
    };
    view! {
        <div class="button-row">
            <button
                type="button"
                class="primary"
                id=id
                disabled=move || !can_start.get() || is_too_large()
                on:click=move |_| on_start()
            >
                {label}
            </button>
            <button
                type="button"
                id=format!("{id}-stop")
                disabled=move || !is_running.get()
                on:click=move |_| session.stop()
            >
                "Stop"
            </button>
            <p class:quiet=is_quiet role="status" id=format!("{id}-state")>{words}</p>
        </div>
    }
}

/// What replaces the teacher, and why; empty if the teacher fits in memory.
pub fn substitute_in_words(session: Session) -> String {
    let summary = session.memory_summary();
    summary
        .map(|summary| format!("{summary}; the largest of them replaces the teacher."))
        .unwrap_or_default()
}

/// Why not all sizes are used; empty if they are.
pub fn memory_in_words(session: Session) -> String {
    session.memory_summary().map(|summary| format!("{summary}.")).unwrap_or_default()
}

/// Why the request failed; empty if it did not.
#[component]
pub fn Refusal(#[prop(into)] notice: Signal<Option<Notice>>) -> impl IntoView {
    move || notice.get().map(|notice| view! { <NoticeBox notice/> })
}
