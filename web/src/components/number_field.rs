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
    /// What is accepted, while the typed text is not.
    #[prop(optional)]
    problem: Option<Signal<Option<String>>>,
) -> impl IntoView {
    let problem = move || problem.and_then(|problem| problem.get());
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
                aria-invalid=move || problem().map(|_| "true")
                on:change=move |event| take.run(event_target_value(&event))
            />
            {move || problem().map(|text| view! { <span class="field-problem" role="alert">{text}</span> })}
        </label>
    }
}
