//! An unknown address.

use leptos::prelude::*;

#[component]
pub fn Missing() -> impl IntoView {
    view! {
        <section class="panel" aria-labelledby="missing-heading">
            <h1 id="missing-heading">"Page not found"</h1>
            <p>
                "The address may be from another version. Go to " <a href="./">"the start page"</a> " or "
                <a href="explore/">"the size dial"</a> "."
            </p>
        </section>
    }
}
