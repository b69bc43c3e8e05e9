//! Stored models, and uploads.

use leptos::prelude::*;

use crate::components::models::Models;
use crate::components::upload_panel::UploadPanel;
use crate::state::session::Session;
use crate::state::upload::Upload;

#[component]
pub fn ModelsView() -> impl IntoView {
    let session: Session = expect_context();
    let upload: Upload = expect_context();
    view! {
        <Models session/>
        <UploadPanel upload/>
    }
}
