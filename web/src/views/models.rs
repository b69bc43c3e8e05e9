//! What this browser keeps.

use leptos::prelude::*;

use crate::components::models::Models;
use crate::components::own_models::OwnModels;
use crate::state::session::Session;
use crate::state::upload::Own;

#[component]
pub fn ModelsView() -> impl IntoView {
    let session: Session = expect_context();
    let own: Own = expect_context();
    view! {
        <Models session/>
        <OwnModels own/>
    }
}
