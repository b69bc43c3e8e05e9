//! An address that leads nowhere.

use leptos::prelude::*;

#[component]
pub fn Missing() -> impl IntoView {
    view! {
        <section class="panel" aria-labelledby="missing-heading">
            <h1 id="missing-heading">"There is no such page"</h1>
            <p>
                "The address may be from another version. " <a href="./">"To the idea"</a> ", or "
                <a href="explore/">"to the sizes"</a> "."
            </p>
        </section>
    }
}
