//! An error, with what the user can do about it.

use boomerang_engine::notice::Notice;
use leptos::prelude::*;

#[component]
pub fn NoticeBox(
    notice: Notice,
    /// Buttons for it.
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
