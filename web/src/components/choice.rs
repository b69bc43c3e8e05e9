//! One of a few: radio buttons side by side.

use leptos::prelude::*;

#[component]
pub fn Choice<T>(
    /// Also the name of the group, so it has to be the only one on the page.
    legend: &'static str,
    options: Vec<(T, &'static str)>,
    chosen: RwSignal<T>,
) -> impl IntoView
where
    T: Copy + PartialEq + Send + Sync + 'static,
{
    let option = move |(value, label): (T, &'static str)| {
        view! {
            <label class="choice-option">
                <input
                    type="radio"
                    name=legend
                    prop:checked=move || chosen.get() == value
                    on:change=move |_| chosen.set(value)
                />
                <span>{label}</span>
            </label>
        }
    };
    view! {
        <fieldset class="choice">
            <legend class="visually-hidden">{legend}</legend>
            {options.into_iter().map(option).collect_view()}
        </fieldset>
    }
}
