//! What this browser keeps.

use leptos::prelude::*;

use crate::components::models::Models;
use crate::session::Session;

#[component]
pub fn ModelsView() -> impl IntoView {
    let session: Session = expect_context();
    view! { <Models session/> }
}
