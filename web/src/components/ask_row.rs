//! Asking the model for something: the button, the way to stop it, and how far it has come.

use boomerang_engine::notice::Notice;
use leptos::prelude::*;

use super::notice_box::NoticeBox;
use crate::state::session::Session;

#[component]
pub fn AskRow(
    session: Session,
    /// Of the button; the other two have `-stop` and `-state` behind it.
    id: &'static str,
    #[prop(into)] label: Signal<String>,
    can_start: Memo<bool>,
    is_running: Memo<bool>,
    on_start: impl Fn() + 'static,
    #[prop(into)] words: Signal<String>,
    /// Whether the words only accompany what can be seen anyway.
    #[prop(optional)]
    is_quiet: bool,
    /// Whether the teacher takes part, which not every browser has room for.
    #[prop(optional)]
    needs_teacher: bool,
) -> impl IntoView {
    let is_too_large = move || needs_teacher && !session.has_room_for_all();
    let words = move || match session.room_in_words() {
        Some(room) if is_too_large() => {
            format!("The teacher takes part in this and has no room: {room}.")
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

/// What stands for the teacher, and why; nothing where the teacher has room.
pub fn stand_in_words(session: Session) -> String {
    let room = session.room_in_words();
    room.map(|room| format!("{room}; the largest of them stands for the teacher."))
        .unwrap_or_default()
}

/// Why not all sizes are asked; nothing where they are.
pub fn room_in_words(session: Session) -> String {
    session.room_in_words().map(|room| format!("{room}.")).unwrap_or_default()
}

/// Why the model did not do what it was asked for; nothing where it did.
#[component]
pub fn Refusal(#[prop(into)] notice: Signal<Option<Notice>>) -> impl IntoView {
    move || notice.get().map(|notice| view! { <NoticeBox notice/> })
}
