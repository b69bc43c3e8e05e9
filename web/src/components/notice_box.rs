//! Something that went wrong, with what can be done about it.

use leptos::prelude::*;

use crate::notice::Notice;

#[component]
pub fn NoticeBox(
    notice: Notice,
    /// What the reader can press.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    let Notice { what, why, next } = notice;
    view! {
        <div class="notice" role="alert">
            <p><strong>{what}</strong></p>
            <p class="notice-why">{why}</p>
            <p>{next}</p>
            {children.map(|children| children())}
        </div>
    }
}
