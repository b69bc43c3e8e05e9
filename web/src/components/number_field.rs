//! A field for a number.

use leptos::prelude::*;

#[component]
pub fn NumberField(
    label: &'static str,
    id: &'static str,
    min: &'static str,
    #[prop(optional, into)] max: Option<String>,
    #[prop(optional)] step: Option<&'static str>,
    #[prop(into)] value: Signal<String>,
    /// Called with the typed text.
    #[prop(into)]
    take: Callback<String>,
) -> impl IntoView {
    view! {
        <label>
            {label}
            <input
                type="number"
                id=id
                min=min
                max=max
                step=step
                prop:value=value
                on:change=move |event| take.run(event_target_value(&event))
            />
        </label>
    }
}
