//! The prompt on views that do more than generate.

use leptos::prelude::*;

use super::prompt_box::{Examples, PromptField, Sampling};
use super::share::CopyLink;
use crate::state::address::Address;
use crate::state::dial::Dial;
use crate::state::draft::Draft;
use crate::state::prompt_size::PromptSize;
use crate::state::session::Session;

#[component]
pub fn PromptLine(
    session: Session,
    dial: Dial,
    draft: Draft,
    address: Address,
    length: Memo<PromptSize>,
) -> impl IntoView {
    let prompts = dial.family.with_value(|family| family.manifest().prompts.clone());
    view! {
        <div class="prompt-form">
            <PromptField session dial draft length on_submit=|| {}/>
            <Examples prompts prompt=draft.prompt/>
            <div class="prompt-foot">
                <Sampling draft/>
                <CopyLink address/>
            </div>
        </div>
    }
}
